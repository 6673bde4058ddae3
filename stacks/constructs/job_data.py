"""What a job may read and write: the tables that it owns, its ledger, its part of the run's report."""

from collections.abc import Mapping, Sequence

from aws_cdk import aws_iam as iam

from lake.contracts import Contract
from lake.names import RUN_PARTS_PREFIX, Bucket, ledger_prefix
from stacks.constructs.lake_bucket import LakeBucket
from stacks.constructs.tables import table_names


def allow_silver(role: iam.Role, *, source: str, writes: Sequence[Contract], buckets: Mapping[Bucket, LakeBucket]) -> None:
    """From every version of the source's bronze to its silver tables and their quarantine."""
    own = [*(f"{name}/" for contract in writes for name in table_names(contract)), ledger_prefix(source)]
    buckets["bronze"].allow_read(role, prefixes=[f"{source}/"], versions=True)
    _allow_own(role, bucket=buckets["silver"], prefixes=own)
    _allow_run_parts(role, bucket=buckets["bronze"])


def allow_gold(
    role: iam.Role, *, reads: Sequence[Contract], writes: Sequence[Contract], buckets: Mapping[Bucket, LakeBucket]
) -> None:
    """From clean silver tables, not their quarantine, to gold tables; each gold table has a ledger of its own."""
    own = [prefix for contract in writes for prefix in (f"{contract.table}/", ledger_prefix(contract.table))]
    buckets["silver"].allow_read(role, prefixes=[f"{contract.table}/" for contract in reads])
    _allow_own(role, bucket=buckets["gold"], prefixes=own)
    _allow_run_parts(role, bucket=buckets["bronze"])


def _allow_own(role: iam.Role, *, bucket: LakeBucket, prefixes: Sequence[str]) -> None:
    bucket.allow_read(role, prefixes=prefixes)
    bucket.allow_write(role, prefixes=prefixes, delete=True)


def _allow_run_parts(role: iam.Role, *, bucket: LakeBucket) -> None:
    """A job leaves its part, and looks whether a first attempt left it already."""
    bucket.allow_read(role, prefixes=[RUN_PARTS_PREFIX])
    bucket.allow_write(role, prefixes=[RUN_PARTS_PREFIX])
