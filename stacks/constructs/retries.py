"""How a task is tried again when the service, not the work, was at fault."""

from typing import Protocol

from aws_cdk import Duration
from aws_cdk import aws_stepfunctions as sfn

# Beside what LambdaInvoke retries by itself. The last three say that the sandbox died (time, memory, process); our functions can
# be repeated.
LAMBDA = ("Lambda.TooManyRequestsException", "Lambda.Unknown", "Sandbox.Timedout", "Runtime.ExitError")
GLUE = ("Glue.ThrottlingException", "Glue.InternalServiceException", "Glue.OperationTimeoutException")
SNS = ("SNS.AmazonSNSException",)


class _Retryable(Protocol):
    def add_retry(
        self,
        *,
        errors: list[str] | None = None,
        interval: Duration | None = None,
        max_attempts: int | None = None,
        backoff_rate: int | None = None,
        jitter_strategy: sfn.JitterType | None = None,
    ) -> object: ...


def retry(task: _Retryable, *errors: str, seconds: int = 2, attempts: int = 5) -> None:
    """Tries `task` again after about `seconds`, then after twice as long, and so on."""
    task.add_retry(
        errors=list(errors),
        interval=Duration.seconds(seconds),
        max_attempts=attempts,
        backoff_rate=2,
        jitter_strategy=sfn.JitterType.FULL,  # runs that failed together do not come back together
    )
