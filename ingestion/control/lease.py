"""One writer per source: a lease in DynamoDB, taken by condition, taken over when its holder no longer runs."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from ingestion.control.model import Lease, LeaseHeld

log = logging.getLogger(__name__)

# Each round is lost only to somebody else's success; three in a row mean a crowd, and waiting is the caller's business.
ROUNDS = 3


class Leases:
    """The lease table. `dynamodb`, `stepfunctions`: boto3 clients; end_leftovers: ends what a dead run left, or raises."""

    def __init__(self, *, dynamodb: Any, stepfunctions: Any, table: str, end_leftovers: Callable[[str], None]) -> None:
        self._dynamodb, self._stepfunctions, self._table = dynamodb, stepfunctions, table
        self._end_leftovers = end_leftovers

    def take(self, *, source: str, run_id: str, execution_arn: str) -> Lease:
        """The lease, also when this execution holds it already (a retried task).

        Raises LeaseHeld with the holder; LeftoversEnding while something of a dead holder still works.
        """
        mine = Lease(
            source=source,
            execution_arn=execution_arn,
            run_id=run_id,
            taken_at=datetime.now(UTC).isoformat("T", "seconds"),
        )
        holder = None
        for _ in range(ROUNDS):
            expected = [execution_arn] if holder is None else [execution_arn, holder.execution_arn]
            if self._put(mine, unless_held_by_other_than=expected):
                if holder is not None:
                    log.warning("took the lease of %s over from run %s, which no longer runs", source, holder.run_id)
                return mine
            holder = self.holder(source)
            if holder is not None and holder.execution_arn != execution_arn:
                if self._is_running(holder.execution_arn):
                    raise LeaseHeld(_held(holder))
                self._end_leftovers(holder.run_id)
        raise LeaseHeld(_held(holder) if holder else f"{source} changes hands right now")

    def release(self, *, source: str, execution_arn: str) -> bool:
        """Gives the lease back. False when this execution does not hold it (any more)."""
        try:
            self._dynamodb.delete_item(
                TableName=self._table,
                Key={"source": {"S": source}},
                ConditionExpression="execution_arn = :mine",
                ExpressionAttributeValues={":mine": {"S": execution_arn}},
            )
        except ClientError as error:
            if not _lost(error):
                raise
            return False
        return True

    def holder(self, source: str) -> Lease | None:
        item = self._dynamodb.get_item(TableName=self._table, Key={"source": {"S": source}}, ConsistentRead=True).get("Item")
        return Lease.model_validate({name: value["S"] for name, value in item.items()}) if item else None

    def _put(self, lease: Lease, *, unless_held_by_other_than: list[str]) -> bool:
        names = {f":{i}": {"S": arn} for i, arn in enumerate(unless_held_by_other_than)}
        try:
            self._dynamodb.put_item(
                TableName=self._table,
                Item={name: {"S": value} for name, value in lease.model_dump().items()},
                ConditionExpression=f"attribute_not_exists(execution_arn) OR execution_arn IN ({', '.join(names)})",
                ExpressionAttributeValues=names,
            )
        except ClientError as error:
            if not _lost(error):
                raise
            return False
        return True

    def _is_running(self, execution_arn: str) -> bool:
        try:
            status = self._stepfunctions.describe_execution(executionArn=execution_arn)["status"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ExecutionDoesNotExist":
                raise
            return False
        return bool(status == "RUNNING")


def _held(holder: Lease) -> str:
    return f"{holder.source} is being written by run {holder.run_id} since {holder.taken_at}"


def _lost(error: ClientError) -> bool:
    return bool(error.response["Error"]["Code"] == "ConditionalCheckFailedException")
