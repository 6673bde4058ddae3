"""The Spark session of every job. Spark's settings stand here and nowhere else."""

from pyspark.sql import SparkSession

SETTINGS = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    # Times are instants; each source converts its own clock before it stores one.
    "spark.sql.session.timeZone": "UTC",
    # A cell that does not parse is null and quarantined with its row; it never ends the job.
    "spark.sql.ansi.enabled": "false",
    "spark.sql.legacy.timeParserPolicy": "CORRECTED",
    # Athena reads microseconds; Spark's default INT96 has no statistics to skip files by.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # Delta's default of 50 tasks to read a log is meant for logs of millions of files; ours have thousands.
    "spark.databricks.delta.snapshotPartitions": "2",
    # What is kept is read a few times within minutes; compressing it took a fifth of a first load.
    "spark.sql.inMemoryColumnarStorage.compressed": "false",
    # A file holds few partitions; without this its rows are sorted by partition, all columns of them, before they are written.
    "spark.sql.maxConcurrentOutputFileWriters": "32",
    # The JVM never compiles a method of more bytecode than this; Spark's default lets a wide row's stage be one, run interpreted.
    "spark.sql.codegen.hugeMethodLimit": "8000",
    "spark.ui.showConsoleProgress": "false",
    # Delta 3.3 writes a checksum beside each commit and warns, with a page of stack trace, where s3:// is S3A's; nothing reads it.
    "spark.databricks.delta.writeChecksumFile.enabled": "false",
    # A table without deletion vectors stays readable to Redshift Spectrum and to every Delta reader.
    "spark.databricks.delta.properties.defaults.enableDeletionVectors": "false",
    "spark.databricks.delta.properties.defaults.enableChangeDataFeed": "true",
}


def spark_session(name: str) -> SparkSession:
    """A session with Delta and the settings above. Master, file systems and credentials come from the cluster."""
    builder = SparkSession.builder.appName(name)
    for key, value in SETTINGS.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("WARN")
    return session
