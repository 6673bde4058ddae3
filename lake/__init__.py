"""The shared kernel: names, settings, contracts and the AWS client factory. Imports no CDK, and Spark only in `lake.spark`."""
