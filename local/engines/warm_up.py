"""A small job that does what jobs do, so that the JVM has loaded and compiled it before the first one; it has no credentials."""

import sys

from pyspark.sql import SparkSession
from pyspark.sql import functions as F


def main(table: str) -> None:
    """Read text, clean it, write it to a Delta table, merge into it and read its change feed."""
    spark = (
        SparkSession.builder.config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
        .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
        .config("spark.databricks.delta.properties.defaults.enableChangeDataFeed", "true")
        .getOrCreate()
    )
    raw = spark.range(500).selectExpr("cast(id as string) as key", "'2011-07-01 00:00:00' as opened", "id % 7 as part")
    raw.write.option("header", True).option("compression", "gzip").csv(f"{table}.csv")
    read = spark.read.schema("key string, opened string, part bigint").option("header", True).csv(f"{table}.csv")
    clean = read.withColumn("opened", F.to_timestamp("opened")).withColumn("hash", F.xxhash64("key", "part"))
    clean.write.format("delta").partitionBy("part").save(table)
    clean.withColumn("hash", F.col("hash") + 1).createOrReplaceTempView("changes")
    spark.sql(
        f"MERGE INTO delta.`{table}` t USING changes s ON t.key = s.key AND t.part IN (0, 1, 2) "
        "WHEN MATCHED AND t.hash <> s.hash THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
    )
    changes = spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", 1).load(table)
    changes.groupBy("_change_type").agg(F.count("*"), F.max("opened")).collect()
    spark.stop()


if __name__ == "__main__":
    main(sys.argv[1])
