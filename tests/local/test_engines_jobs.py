"""Glue jobs and EMR steps really run, with the permissions of their roles and no others."""

import gzip
import io
import json
import os
import signal
import subprocess
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from deltalake import DeltaTable
from engine_cloud import ACCOUNT, Cloud, Statement, allow, cloud, reading

__all__ = ["cloud"]
LIMIT_SECONDS = 240
SCRIPT = """
import argparse, sys, time
import helper
from pyspark.sql import SparkSession

p = argparse.ArgumentParser()
for name in ("--target", "--fail", "--sleep"):
    p.add_argument(name, default="")
a, rest = p.parse_known_args(sys.argv[1:])
spark = (
    SparkSession.builder.config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
    .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
    .getOrCreate()
)
print("helper says", helper.WORD, "and", spark.conf.get("spark.tributary.word"), flush=True)
time.sleep(float(a.sleep or 0))
spark.range(10).write.format("delta").mode("overwrite").save(a.target)
if a.fail:
    raise ValueError(a.fail)
spark.stop()
"""


def writing(bucket: str) -> Statement:
    return allow("s3:PutObject", "s3:DeleteObject", on=(f"arn:aws:s3:::{bucket}/*",))


def take_by(cloud: Cloud, role: str, principal: dict[str, str]) -> None:
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}]}
    cloud.client("iam").update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps(trust))


@pytest.fixture(scope="module", autouse=True)
def jobs(cloud: Cloud) -> None:
    for bucket in ("job-code", "job-data", "job-logs"):
        cloud.bucket(bucket)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr("helper.py", "WORD = 'yes'\n")
    s3 = cloud.client("s3")
    s3.put_object(Bucket="job-code", Key="deps.zip", Body=archive.getvalue())
    s3.put_object(Bucket="job-code", Key="0a1b2c.py", Body=SCRIPT.encode())
    cloud.role("job-writer", reading("job-code", "job-data"), writing("job-data"), service="glue.amazonaws.com")
    cloud.role("job-reader", reading("job-code", "job-data"), service="glue.amazonaws.com")
    for role in ("job-writer", "job-reader"):
        cloud.client("glue").create_job(
            Name=role,
            Role=f"arn:aws:iam::{ACCOUNT}:role/{role}",
            Command={"Name": "glueetl", "ScriptLocation": "s3://job-code/0a1b2c.py", "PythonVersion": "3"},
            GlueVersion="5.1",
            DefaultArguments={
                "--extra-py-files": "s3://job-code/deps.zip",
                "--conf": "spark.sql.shuffle.partitions=2 --conf spark.tributary.word=also",
                "--target": f"s3://job-data/{role}",
            },
        )


def finished(cloud: Cloud, job: str, **arguments: str) -> dict[str, Any]:
    glue = cloud.client("glue")
    run = glue.start_job_run(JobName=job, Arguments={f"--{k}": v for k, v in arguments.items()})["JobRunId"]
    end = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < end:
        found: dict[str, Any] = glue.get_job_run(JobName=job, RunId=run)["JobRun"]
        if found["JobRunState"] not in ("STARTING", "RUNNING", "STOPPING"):
            return found
        time.sleep(0.1)
    raise AssertionError(f"{job} did not end: {found}")


def rows(cloud: Cloud, uri: str) -> int:
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
    options = {"AWS_ENDPOINT_URL": cloud.endpoint, "AWS_ALLOW_HTTP": "true", **keys}
    return int(DeltaTable(uri, storage_options=options).to_pyarrow_table().num_rows)


def test_a_glue_job_writes_a_table_and_its_log(cloud: Cloud) -> None:
    run = finished(cloud, "job-writer")
    assert run["JobRunState"] == "SUCCEEDED", run
    assert rows(cloud, "s3://job-data/job-writer") == 10
    stream = {"logGroupName": "/aws-glue/jobs/output", "logStreamName": run["Id"]}
    messages = [event["message"] for event in cloud.client("logs").get_log_events(**stream)["events"]]
    assert "helper says yes and also" in messages


def test_a_job_may_do_what_its_role_may_do_also_on_a_jvm_that_served_a_mightier_one(cloud: Cloud) -> None:
    assert finished(cloud, "job-writer")["JobRunState"] == "SUCCEEDED"
    run = finished(cloud, "job-reader")
    assert run["JobRunState"] == "FAILED"
    assert "assumed-role/job-reader/GlueJobRunnerSession is not authorized to perform: s3:PutObject" in run["ErrorMessage"]


def test_a_failing_job_says_why(cloud: Cloud) -> None:
    run = finished(cloud, "job-writer", fail="no such layer: tin")
    assert (run["JobRunState"], run["ErrorMessage"]) == ("FAILED", "ValueError: no such layer: tin")


def test_no_more_runs_at_once_than_the_job_allows_and_a_run_can_be_stopped(cloud: Cloud) -> None:
    glue = cloud.client("glue")
    run = glue.start_job_run(JobName="job-writer", Arguments={"--sleep": "600"})["JobRunId"]
    with pytest.raises(ClientError, match="ConcurrentRunsExceeded"):
        glue.start_job_run(JobName="job-writer")
    glue.batch_stop_job_run(JobName="job-writer", JobRunIds=[run])
    end = time.monotonic() + LIMIT_SECONDS
    while glue.get_job_run(JobName="job-writer", RunId=run)["JobRun"]["JobRunState"] != "STOPPED":
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_step_runs_as_its_execution_role_which_the_nodes_may_take(cloud: Cloud) -> None:
    step_arns = f"arn:aws:iam::{ACCOUNT}:role/job-step"
    nodes = cloud.role("job-nodes", allow("sts:AssumeRole", on=(step_arns,)), writing("job-logs"), service="ec2.amazonaws.com")
    cloud.role("job-emr", reading("job-code"), service="elasticmapreduce.amazonaws.com")
    for role in ("job-step", "job-other-step"):
        cloud.role(role, reading("job-code", "job-data"), writing("job-data"))
        take_by(cloud, role, {"AWS": nodes})
    iam, emr = cloud.client("iam"), cloud.client("emr")
    iam.create_instance_profile(InstanceProfileName="job-nodes")
    iam.add_role_to_instance_profile(InstanceProfileName="job-nodes", RoleName="job-nodes")
    roles = {"AuthorizationConfiguration": {"IAMConfiguration": {"EnableApplicationScopedIAMRole": True}}}
    emr.create_security_configuration(Name="job-roles", SecurityConfiguration=json.dumps(roles))
    cluster = emr.run_job_flow(
        Name="cluster",
        ReleaseLabel="emr-7.14.0",
        LogUri="s3://job-logs/emr/",
        ServiceRole="job-emr",
        JobFlowRole="job-nodes",
        SecurityConfiguration="job-roles",
        Instances={"KeepJobFlowAliveWhenNoSteps": True, "MasterInstanceType": "m6g.xlarge", "InstanceCount": 1},
    )["JobFlowId"]
    submit = ["spark-submit", "--deploy-mode", "cluster", "--py-files", "s3://job-code/deps.zip", "--conf"]
    submit += ["spark.tributary.word=here", "s3://job-code/0a1b2c.py", "--target", "s3://job-data/step"]
    steps = [{"Name": "s", "ActionOnFailure": "CONTINUE", "HadoopJarStep": {"Jar": "command-runner.jar", "Args": submit}}]

    def ended(role: str) -> dict[str, Any]:
        arn = f"arn:aws:iam::{ACCOUNT}:role/{role}"
        step = emr.add_job_flow_steps(JobFlowId=cluster, Steps=steps, ExecutionRoleArn=arn)["StepIds"][0]
        end = time.monotonic() + LIMIT_SECONDS
        while time.monotonic() < end:
            found: dict[str, Any] = emr.describe_step(ClusterId=cluster, StepId=step)["Step"]
            if found["Status"]["State"] not in ("PENDING", "RUNNING"):
                return found
            time.sleep(0.1)
        raise AssertionError(found)

    step = ended("job-step")
    assert step["Status"]["State"] == "COMPLETED", step
    assert rows(cloud, "s3://job-data/step") == 10
    log = cloud.client("s3").get_object(Bucket="job-logs", Key=f"emr/{cluster}/steps/{step['Id']}/stdout.gz")["Body"].read()
    assert b"helper says yes and here" in gzip.decompress(log)
    refused = ended("job-other-step")["Status"]
    assert refused["State"] == "FAILED"
    assert "not authorized to perform: sts:AssumeRole" in refused["FailureDetails"]["Message"]
    emr.terminate_job_flows(JobFlowIds=[cluster])
    assert emr.describe_cluster(ClusterId=cluster)["Cluster"]["Status"]["State"] == "TERMINATED"


def processes(home: Path) -> list[str]:
    listed = subprocess.run(["ps", "-eww", "-o", "pid,args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if f"{home}/" in line]


def test_a_killed_daemon_leaves_no_job_behind_and_no_run_running(cloud: Cloud) -> None:
    glue = cloud.client("glue")
    run = glue.start_job_run(JobName="job-writer", Arguments={"--sleep": "600"})["JobRunId"]
    end = time.monotonic() + LIMIT_SECONDS
    while not any("uploaded/0a1b2c.py" in line for line in processes(cloud.home)):
        assert time.monotonic() < end
        time.sleep(0.1)
    time.sleep(4)  # snapshots are taken every three seconds
    cloud.stop(signal.SIGKILL)
    cloud.start()
    found = glue.get_job_run(JobName="job-writer", RunId=run)["JobRun"]
    assert (found["JobRunState"], found["ErrorMessage"][:16]) == ("FAILED", "The laptop cloud")
    assert processes(cloud.home) == []


def test_a_killed_job_fails_and_takes_its_jvm_with_it(cloud: Cloud) -> None:
    glue = cloud.client("glue")
    run = glue.start_job_run(JobName="job-writer", Arguments={"--sleep": "600"})["JobRunId"]
    end = time.monotonic() + LIMIT_SECONDS
    while not (found := [line for line in processes(cloud.home) if "uploaded/0a1b2c.py" in line]):
        assert time.monotonic() < end
        time.sleep(0.1)
    os.kill(int(found[0].split()[0]), signal.SIGKILL)
    while glue.get_job_run(JobName="job-writer", RunId=run)["JobRun"]["JobRunState"] == "RUNNING":
        assert time.monotonic() < end
        time.sleep(0.1)
    state = glue.get_job_run(JobName="job-writer", RunId=run)["JobRun"]
    assert (state["JobRunState"], state["ErrorMessage"]) == ("FAILED", "Command failed with exit code 137")
    assert processes(cloud.home) == []
