"""Custom resource of replication's phases.

roles: on Create and Update the roles that DMS looks for in an account are made where they are missing (Roles: policy by name), and
SettleSeconds waited for if any was, as IAM takes a while to know its roles everywhere.
stop: before the task and its endpoints change, on Update and Delete, the task is stopped. start: after, on Create and Update, both
connections are tested and the task started; on Delete it is stopped. An event that is no custom resource's is a phase's Update.
Properties: Phase, Version; of stop TaskArn; of start TaskArn, InstanceArn, SourceEndpointArn, TargetEndpointArn.
"""

import logging
import time
from typing import Any, Protocol

from ingestion.custom_resource import Request, respond
from ingestion.replication.roles import ensure_roles
from ingestion.replication.task import Replication
from lake import aws

logging.basicConfig()  # for a runtime that brings no handler of its own; Lambda's does, and this changes nothing
logging.getLogger("ingestion").setLevel(logging.INFO)

MARGIN_SECONDS = 60  # for CloudFormation to be told, several times if need be


class Context(Protocol):
    """What the Lambda service hands to a handler."""

    invoked_function_arn: str

    def get_remaining_time_in_millis(self) -> int: ...


def handler(event: dict[str, Any], context: Context) -> None:
    def work(request: Request) -> None:
        if request.text("Phase") == "roles":
            if request.kind != "Delete":
                partition = context.invoked_function_arn.split(":")[1]
                if ensure_roles(aws.client("iam"), request.properties["Roles"], partition=partition):
                    time.sleep(float(request.text("SettleSeconds")))
            return
        replication = Replication(
            dms=aws.client("dms"), time_left=lambda: context.get_remaining_time_in_millis() / 1000 - MARGIN_SECONDS
        )
        turn(request, replication)

    if "RequestType" not in event:
        work(Request(kind="Update", physical_id=None, properties=event))
        return
    phase = event.get("ResourceProperties", {}).get("Phase")
    respond(event, physical_id=f"tributary-replication-{phase}", work=work)


def turn(request: Request, replication: Replication) -> None:
    """Raises ReplicationFailed, ReplicationSlow, ValueError."""
    phase, task = request.text("Phase"), request.text("TaskArn")
    if phase not in ("stop", "start"):
        raise ValueError(f"Phase is {phase!r}; it can be stop or start")
    if request.kind == "Delete" or (phase == "stop" and request.kind == "Update"):
        for arn in dict.fromkeys((request.before.get("TaskArn") or task, task)):
            replication.stop(arn)
    elif phase == "start":
        endpoints = (request.text("SourceEndpointArn"), request.text("TargetEndpointArn"))
        replication.start(task, instance=request.text("InstanceArn"), endpoints=endpoints)
