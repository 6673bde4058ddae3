"""How Glue and EMR are told what to run."""

import pytest

from local.engines.submission import Submission, SubmissionError, glue_arguments, spark_submit, split_conf


def test_glue_chains_settings_in_one_conf() -> None:
    chain = "spark.sql.extensions=io.delta.sql.DeltaSparkSessionExtension --conf spark.a=b=c --conf spark.d=e f"
    expected = {"spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension", "spark.a": "b=c", "spark.d": "e f"}
    assert split_conf(chain) == expected


def test_no_conf_is_no_setting() -> None:
    assert split_conf("") == {}


def test_conf_without_a_value_is_refused() -> None:
    with pytest.raises(SubmissionError, match=r"spark\.a"):
        split_conf("spark.a")


def test_run_arguments_go_over_defaults_and_fixed_ones_over_both() -> None:
    asked = glue_arguments(
        "s3://code/job.py",
        {"--layer": "silver", "--accept": "-", "--extra-py-files": "s3://code/a.zip, s3://code/b.zip"},
        {"--accept": "run-1", "--layer": "gold"},
        {"--layer": "bronze"},
    )
    assert asked.py_files == ["s3://code/a.zip", "s3://code/b.zip"]
    given = dict(zip(asked.arguments[::2], asked.arguments[1::2], strict=True))
    assert (given["--layer"], given["--accept"]) == ("bronze", "run-1")


def test_the_settings_of_glue_do_not_reach_the_script() -> None:
    asked = glue_arguments("s3://code/job.py", {"--conf": "spark.a=b"}, {}, {})
    assert asked.conf == {"spark.a": "b"}
    assert "--conf" not in asked.arguments


def test_spark_submit_on_a_cluster_becomes_one_on_this_machine() -> None:
    command = ["spark-submit", "--deploy-mode", "cluster", "--name", "gold", "--py-files", "s3://c/a.zip,s3://c/b.zip"]
    command += ["--conf", "spark.x=y", "--conf=spark.executor.memory=8g", "--num-executors=4", "s3://c/job.py", "--accept", ""]
    expected = Submission(
        "s3://c/job.py", ["--accept", ""], ["s3://c/a.zip", "s3://c/b.zip"], {"spark.x": "y", "spark.app.name": "gold"}
    )
    assert spark_submit(command) == expected


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ([], "nothing"),
        (["hadoop-streaming", "x"], "hadoop-streaming"),
        (["spark-submit", "--class", "Main", "s3://c/a.jar"], "--class"),
        (["spark-submit", "--conf", "spark.x=y"], "no script"),
        (["spark-submit", "--py-files"], "--py-files"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(command: list[str], named: str) -> None:
    with pytest.raises(SubmissionError, match=named):
        spark_submit(command)
