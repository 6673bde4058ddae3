"""What Glue and EMR set up before a Spark job sees its session; everything that is ours to choose on a laptop stands here.

What the job decides itself (time zone, Delta's extensions, how it writes) comes from its own session builder or --conf.
"""

import os
from pathlib import Path

CORES = min(os.cpu_count() or 2, 8)
# A quarter of the machine, as the driver also works as executor; below 1 GB Spark refuses, above 8 GB nothing here gains.
_MEMORY_BYTES = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
HEAP_MB = max(1024, min(8192, _MEMORY_BYTES // 4 // 2**20))

# Spark 3.5 on Java 17 (org.apache.spark.launcher.JavaModuleOptions); spark-submit would add them, but we start the JVM ourselves.
_OPENED = ("lang", "lang.invoke", "lang.reflect", "io", "net", "nio", "util", "util.concurrent", "util.concurrent.atomic")
_OPENED_ELSEWHERE = ("java.base/sun.nio.ch", "java.base/sun.nio.cs", "java.base/sun.security.action", "java.base/sun.util.calendar")
JVM_OPTIONS = (
    "-XX:+IgnoreUnrecognizedVMOptions",
    *(f"--add-opens=java.base/java.{package}=ALL-UNNAMED" for package in _OPENED),
    *(f"--add-opens={package}=ALL-UNNAMED" for package in _OPENED_ELSEWHERE),
    "--add-opens=java.security.jgss/sun.security.krb5=ALL-UNNAMED",
    "-Djdk.reflect.useDirectMethodHandle=false",
    f"-Xmx{HEAP_MB}m",
    "-Duser.timezone=UTC",  # as the hosts of Glue and EMR
    "-XX:+UseParallelGC",
    # The optimising compiler later than by default: a job of some thousand rows spends most of its time in it (CPU of the first
    # small job 41 s by default, 27 s so, 18 s without it; of one with 0.6 M rows 48, 55 and 52 s, and from there on it pays).
    "-XX:Tier4InvocationThreshold=50000",
    "-XX:Tier4MinInvocationThreshold=6000",
    "-XX:Tier4CompileThreshold=150000",
    "-XX:Tier4BackEdgeThreshold=400000",
    "-Daws.java.v1.disableDeprecationAnnouncement=true",  # Hadoop 3.3 needs the SDK that ended; its sermon fills the log
)


def defaults(endpoint: str, directory: Path) -> dict[str, str]:
    """Spark settings of every job: the place of a cluster's spark-defaults.conf. A job's --conf goes over them.

    endpoint: address of the laptop cloud; directory: scratch space of the job.
    """
    return {
        "spark.master": f"local[{CORES}]",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.warehouse.dir": str(directory / "warehouse"),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        # 200 partitions are for clusters: on two cores each costs a task and a file.
        "spark.sql.shuffle.partitions": str(2 * CORES),
        # Adaptive execution makes a job of its own of every stage: a third more CPU for small runs, and nothing to adapt to here.
        "spark.sql.adaptive.enabled": "false",
        "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
        "spark.hadoop.fs.AbstractFileSystem.s3.impl": "org.apache.hadoop.fs.s3a.S3A",
        "spark.hadoop.fs.s3a.endpoint": endpoint,
        "spark.hadoop.fs.s3a.endpoint.region": "us-east-1",
        "spark.hadoop.fs.s3a.path.style.access": "true",
        "spark.hadoop.fs.s3a.connection.ssl.enabled": "false",
        "spark.hadoop.fs.s3a.change.detection.mode": "none",
        # Its credentials are made by the first request, and Hadoop 3.3 loses the race when two threads make it (HADOOP-18233).
        "spark.hadoop.fs.s3a.bucket.probe": "1",
        "spark.hadoop.fs.s3a.aws.credentials.provider": "org.apache.hadoop.fs.s3a.TemporaryAWSCredentialsProvider",
    }


LOG4J = """\
rootLogger.level = warn
rootLogger.appenderRef.stderr.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{yyyy-MM-dd HH:mm:ss} %p %c{1}: %m%n
# Said at every start, and true of every laptop.
logger.native.name = org.apache.hadoop.util.NativeCodeLoader
logger.native.level = error
logger.metrics.name = org.apache.hadoop.metrics2.impl.MetricsConfig
logger.metrics.level = error
"""
