"""What a replication instance of DMS does for one task, in a process of its own: from PostgreSQL to Parquet in S3."""
