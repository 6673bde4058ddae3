"""Where the laptop cloud does not enforce or do what AWS does; docs/fidelity.md is made of this and of `FIDELITY`."""

from typing import NamedTuple


class Gap(NamedTuple):
    """what: the permission or behaviour; why: what happens instead on the laptop."""

    what: str
    why: str


# Permissions that AWS checks and the laptop cloud does not.
UNENFORCED = (
    Gap("cloudwatch:*", "the evaluator does not read the protocol of current SDKs; every signed call is allowed"),
    Gap("lambda: capacity providers, code signing, durable executions, layer deletion", "calls without a route are allowed"),
    Gap("iam:PassRole", "checked for EMR clusters (service role, instance role) only"),
    Gap("CloudFormation's execution role", "resources are made in-process, as the account's root"),
    Gap("roles of Glue jobs and Lambdas for CloudWatch Logs", "the services write their logs themselves"),
    Gap("EMR's service role", "nothing is started in EC2, so nothing proves what it may do there"),
    Gap("Firehose, event source mappings, S3 and EventBridge notifications", "deliver in-process, as nobody"),
    Gap("sts:TagSession, sts:SetSourceIdentity", "no session carries tags"),
    Gap("kms:*", "objects are not encrypted on disk, so reading one asks for no key"),
    Gap("Conditions on aws:SourceAccount and aws:SourceArn in trust policies", "a service's own calls carry neither"),
    Gap("Step Functions: ItemReader and ResultWriter of distributed maps", "read and write S3 in-process, as nobody"),
    Gap("ec2:*NetworkInterface of Lambdas and DMS in a network", "no interface is made; of dms-vpc-role only the trust counts"),
    Gap("A role that was made just now", "counts at once; on AWS after some seconds, in which services refuse it"),
)

# Behaviour of the services that we use.
GAPS = (
    Gap("TLS", "plain HTTP on 127.0.0.1, which counts as secure transport"),
    Gap("Networks", "subnets, groups, endpoints and NAT are remembered and route nothing"),
    Gap("Spark clusters", "one machine with its cores and a quarter of its memory; executors and their settings are dropped"),
    Gap("Spark's shuffle partitions", "twice the cores instead of 200"),
    Gap(
        "EMR's clusters",
        "are ready at once; steps run one after the other; bootstrap actions and idle time-outs are remembered only",
    ),
    Gap("EMR's jars", "only command-runner.jar with spark-submit"),
    Gap("Glue job runs", "glueetl and gluestreaming; no retries, bookmarks, triggers or connections"),
    Gap("Lambda", "a process of this machine: no memory limit, one Python 3.11, boto3 as the runtime has it"),
    Gap("Schedules", "what fell due while the laptop cloud was down is not caught up with"),
    Gap("A killed laptop cloud", "control state of the last three seconds may be lost; objects are not; what ran has failed"),
    Gap("Athena's SQL", "SELECT, SHOW, DESCRIBE and EXPLAIN; what changes tables or makes views is refused, by name"),
    Gap("Athena's approximate functions", "are exact; a function that is not translated is refused, never passed on to DuckDB"),
    Gap("Crawlers", "understand Delta tables and Hive-style folders of CSV, JSON lines and Parquet"),
    Gap("Alarms over several metrics", "are recorded and never evaluated"),
    Gap(
        "RDS",
        "one PostgreSQL 16 without standby, backups, snapshots, upgrades or limits of storage and memory; its log stays in a file",
    ),
    Gap(
        "RDS's parameters",
        "count from the next start; of those named rds.* only logical_replication; TLS is always asked for, and the certificate is "
        "the laptop's own",
    ),
    Gap("RDS's users", "the master has REPLICATION and gives it on; on AWS membership in rds_replication is enough"),
    Gap(
        "DMS's reading of PostgreSQL",
        "pgoutput and the publication, whatever PluginName says; AWS's test_decoding needs no publication",
    ),
    Gap(
        "DMS and added columns",
        "the stream tells of them at once; on AWS, with CaptureDdls off, nothing does, and the task has to be restarted",
    ),
    Gap("DMS's heartbeat", "is remembered and writes nothing; what other tables leave in the log is confirmed without it"),
    Gap(
        "DMS's error policies",
        "are remembered; a value that Parquet cannot hold suspends its table, and the task has failed when it was the last; "
        "AWS's default leaves the row out and goes on",
    ),
    Gap("DMS's instances", "class, storage, standby and version are remembered; they are there, and changed, at once"),
    Gap(
        "DMS's tasks",
        "PostgreSQL to Parquet in S3, full load and changes; no filters, validation, control tables, nor start at a position; "
        "anything else is refused, by name",
    ),
    Gap("DMS's events and metrics", "a failed task, and the two latencies while the source is reached; no other state or metric"),
    Gap(
        "Rotation of secrets",
        "what fails is tried three times within seconds; windows (Duration) are not kept; there are no hosted functions",
    ),
    Gap("Secrets that lead to a database", "are rewritten in place when its port on the laptop changes"),
)
