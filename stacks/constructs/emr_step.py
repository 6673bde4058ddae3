"""A job on EMR as part of a state machine: a role of its own, and the states that run it on a cluster.

Raw states, because the L2 tasks would bring roles and wildcards that this definition does not need.
"""

from typing import Any

from aws_cdk import Aws
from aws_cdk import aws_iam as iam
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from lake.jobs import Job
from lake.names import Names
from stacks.constructs.emr_cluster import EmrCluster
from stacks.constructs.job_arguments import command_line
from stacks.constructs.job_code import JobCode
from stacks.constructs.permissions import allow

_API = "arn:aws:states:::elasticmapreduce"
_TRANSIENT = [
    {
        "ErrorEquals": ["ElasticMapReduce.ThrottlingException", "ElasticMapReduce.AmazonElasticMapReduceException"],
        "IntervalSeconds": 10,
        "MaxAttempts": 3,
        "BackoffRate": 2,
        "JitterStrategy": "FULL",
    }
]


class EmrStep(Construct):
    """execution_role: the job's own, to which the stack adds what it reads and writes; entry: the state that begins it."""

    def __init__(self, scope: Construct, id: str, *, job: Job, code: JobCode, cluster: EmrCluster, names: Names) -> None:
        super().__init__(scope, id)
        self._cluster = cluster
        script = code.script(job)
        self.execution_role = iam.Role(self, "Role", role_name=names.role(job.name), assumed_by=_step_of(cluster))
        code.allow_read(self.execution_role, script)
        # Attached here and not in the cluster's stack: the cluster exists before the jobs do.
        iam.Policy(
            self,
            "TakeRole",
            roles=[cluster.nodes_role],
            statements=[
                iam.PolicyStatement(actions=["sts:AssumeRole", "sts:TagSession"], resources=[self.execution_role.role_arn])
            ],
        )
        submit = ["'spark-submit'", "'--deploy-mode'", "'cluster'", "'--name'", f"'{job.name}'"]
        archives = f"'{code.code.s3_object_url},{code.dependencies.s3_object_url}'"
        line = [*submit, "'--py-files'", archives, f"'{script.s3_object_url}'", *command_line(job.source, names=names)]
        self._step = {
            "Name.$": f"States.Format('{job.name} {{}}', $$.Execution.Name)",  # ingestion.control.leftovers finds it by that
            "ActionOnFailure": "CONTINUE",
            "HadoopJarStep": {"Jar": "command-runner.jar", "Args.$": f"States.Array({', '.join(line)})"},
        }
        self.entry: sfn.IChainable = self._on_running_cluster() if cluster.cluster else self._on_own_cluster()

    def _on_running_cluster(self) -> sfn.IChainable:
        assert self._cluster.cluster is not None
        return self._add_step(self._cluster.cluster.ref)

    def _on_own_cluster(self) -> sfn.IChainable:
        request = self._cluster.request()
        # With the run's id, by which ingestion.control.leftovers finds it.
        request["Name.$"] = f"States.Format('{request.pop('Name')}-{{}}', $$.Execution.Name)"
        start = self._task("Start cluster", "createCluster.sync", request, result="$.cluster")
        work = self._add_step("$.cluster.ClusterId")
        end = self._task("End cluster", "terminateCluster.sync", {"ClusterId.$": "$.cluster.ClusterId"}, result="$.ended")
        rescue = self._task(
            "End cluster after failure", "terminateCluster.sync", {"ClusterId.$": "$.cluster.ClusterId"}, result="$.ended"
        )
        failed = sfn.Fail(self, "Step failed", error_path="$.error.Error", cause_path="$.error.Cause")
        work.add_catch(rescue.next(failed), errors=["States.ALL"], result_path="$.error")
        return sfn.Chain.start(start).next(work).next(end)

    def _add_step(self, cluster_id: str) -> sfn.CustomState:
        key = "ClusterId.$" if cluster_id.startswith("$.") else "ClusterId"
        parameters = {key: cluster_id, "ExecutionRoleArn": self.execution_role.role_arn, "Step": self._step}
        return self._task("Run step", "addStep.sync", parameters, result="$.step")

    def _task(self, name: str, call: str, parameters: dict[str, Any], *, result: str) -> sfn.CustomState:
        state = {"Type": "Task", "Resource": f"{_API}:{call}", "Parameters": parameters, "ResultPath": result}
        return sfn.CustomState(self, name, state_json={**state, "Retry": _TRANSIENT})

    def allow_control(self, role: iam.Role) -> None:
        """What the state machine's role needs to run the step: that role, that cluster's roles, those calls."""
        clusters = f"arn:{Aws.PARTITION}:elasticmapreduce:{Aws.REGION}:{Aws.ACCOUNT_ID}:cluster/*"
        identity = "EMR chooses a cluster's id when it starts it."
        step_role = {"ArnEquals": {"elasticmapreduce:ExecutionRoleArn": self.execution_role.role_arn}}
        allow(role, actions=["elasticmapreduce:AddJobFlowSteps"], resources=[clusters], because=identity, conditions=step_role)
        reading = ["elasticmapreduce:DescribeCluster", "elasticmapreduce:DescribeStep", "elasticmapreduce:ListSteps"]
        allow(role, actions=[*reading, "elasticmapreduce:CancelSteps"], resources=[clusters], because=identity)
        allow(
            role,
            actions=["iam:PassRole"],
            resources=[self.execution_role.role_arn],
            conditions={"StringEquals": {"iam:PassedToService": "elasticmapreduce.amazonaws.com"}},
        )
        rules = [f"StepFunctionsGetEventForEMR{what}Rule" for what in ("AddJobFlowSteps", "RunJobFlow", "TerminateJobFlows")]
        allow(
            role,
            actions=["events:PutTargets", "events:PutRule", "events:DescribeRule"],
            resources=[f"arn:{Aws.PARTITION}:events:{Aws.REGION}:{Aws.ACCOUNT_ID}:rule/{rule}" for rule in rules],
        )
        if self._cluster.cluster is None:
            self._allow_own_cluster(role, clusters=clusters, identity=identity)

    def _allow_own_cluster(self, role: iam.Role, *, clusters: str, identity: str) -> None:
        allow(
            role,
            actions=["elasticmapreduce:RunJobFlow", "elasticmapreduce:AddTags"],
            resources=["*"],
            because="There is no cluster yet to name; whose roles it can get is limited by iam:PassRole.",
        )
        # RunJobFlow asks for the first two when its request holds such policies.
        policies = ["elasticmapreduce:PutManagedScalingPolicy", "elasticmapreduce:PutAutoTerminationPolicy"]
        allow(role, actions=[*policies, "elasticmapreduce:TerminateJobFlows"], resources=[clusters], because=identity)
        passed = {"elasticmapreduce.amazonaws.com": self._cluster.service_role, "ec2.amazonaws.com": self._cluster.nodes_role}
        for service, given in passed.items():
            to = {"StringEquals": {"iam:PassedToService": service}}
            allow(role, actions=["iam:PassRole"], resources=[given.role_arn], conditions=to)


def _step_of(cluster: EmrCluster) -> iam.IPrincipal:
    return iam.ArnPrincipal(cluster.nodes_role.role_arn).with_session_tags()
