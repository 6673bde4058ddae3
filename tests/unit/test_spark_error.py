"""The one line that a failed job is reported with."""

from local.engines.spark_error import failure_message

NOISE = "2026-11-21 00:51:57 WARN VersionInfo: something\n"


def trace(last: str) -> str:
    return f'{NOISE}Traceback (most recent call last):\n  File "job.py", line 3, in <module>\n    main()\n{last}'


def test_the_exception_of_the_traceback() -> None:
    assert failure_message(trace("ValueError: no such layer: tin\n"), 1) == "ValueError: no such layer: tin"


def test_the_last_of_chained_exceptions() -> None:
    first = trace("KeyError: 'a'\n")
    text = first + "\nDuring handling of the above exception, another exception occurred:\n\n" + trace("lake.errors.Bad: b\n")
    assert failure_message(text, 1) == "Bad: b"


def test_an_exception_without_a_message() -> None:
    assert failure_message(trace("AssertionError\n"), 1) == "AssertionError"


def test_a_java_error_with_its_innermost_cause() -> None:
    java = (
        "py4j.protocol.Py4JJavaError: An error occurred while calling o94.save.\n"
        ": org.apache.spark.SparkException: Job aborted\n"
        "\tat org.apache.spark.Something(Something.scala:1)\n"
        "Caused by: java.nio.file.AccessDeniedException: s3://b/k\n"
        "\tat com.x(Y.java:1)\n"
        "Caused by: com.amazonaws.AmazonS3Exception: not authorized to perform: s3:PutObject\n"
    )
    expected = (
        "Py4JJavaError: org.apache.spark.SparkException: Job aborted; "
        "caused by com.amazonaws.AmazonS3Exception: not authorized to perform: s3:PutObject"
    )
    assert failure_message(trace(java), 1) == expected


def test_sys_exit_with_a_text() -> None:
    assert failure_message(f"{NOISE}no contract called x\n", 1) == "no contract called x"


def test_a_killed_process() -> None:
    assert failure_message(NOISE, -9) == "Command failed with exit code 137"


def test_nothing_said() -> None:
    assert failure_message("", 3) == "Command failed with exit code 3"
