"""What a replay works again, and in which batches what came at once is worked."""

import boto3
import pytest
from moto import mock_aws

from lake.jobs import EVERYTHING
from lake.spark.ledger import Input, Ledger, Refusal
from lake.spark.replay import replayed
from lake.spark.silver import _rounds


def version(key: str, number: int, fetched_at: str = "2026-01-01T06:00:00+00:00") -> Input:
    return Input(key=key, version=str(number), facts={"fetched_at": fetched_at})


@mock_aws
def test_accepted_is_the_newest_version_that_was_not_refused() -> None:
    s3 = boto3.client("s3", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
    s3.create_bucket(Bucket="silver")
    ledger = Ledger(s3, bucket="silver", prefix="_batches/")
    a1, a2, b1, b2, c1 = version("a", 1), version("a", 2), version("b", 1), version("b", 2), version("c", 1)
    first = ledger.plan([b1, a1, c1], run_id="r1")
    ledger.finish(
        first,
        run_id="r1",
        refused=[Refusal(object="c.csv", rule="late: 1 of 4 rows broke a rule, the contract allows 1.00%", item=c1)],
        report={},
    )
    second = ledger.plan([a2, b2], run_id="r2")
    ledger.finish(second, run_id="r2", refused=[Refusal(object="b.csv", rule="bad", item=b2)], report={})
    assert ledger.accepted() == (a2, b1)
    released = ledger.plan([c1], run_id="r3", accepts="r1")
    assert ledger.accepted() == (a2, b1), "a batch that is not done has accepted nothing"
    ledger.finish(released, run_id="r3", report={})
    assert ledger.accepted() == (a2, b1, c1)
    assert [item.facts["released"] for item in ledger.accepted()] == [False, False, True]


def test_everything_or_what_was_fetched_since() -> None:
    early, late = version("a", 1), version("b", 1, "2026-01-03T00:00:00+00:00")
    assert replayed([early, late], EVERYTHING) == ([early, late], True)
    for since in ("2026-01-03", "2026-01-03T00:00:00", "2026-01-02T19:00:00-05:00"):
        assert replayed([early, late], since) == ([late], False)
    assert replayed([early, late], "2026-01-04") == ([], False)
    with pytest.raises(ValueError, match="Invalid isoformat"):
        replayed([early], "yesterday")


def test_a_key_stands_once_in_a_batch_and_its_oldest_version_in_the_first() -> None:
    a1, a2, b1, a3 = version("a", 1), version("a", 2), version("b", 1), version("a", 3)
    assert _rounds([a1, a2, b1, a3]) == [[a1, b1], [a2], [a3]]
    assert _rounds([]) == []


@mock_aws
def test_what_was_refused_can_be_released_after_a_replay_of_what_is_older() -> None:
    s3 = boto3.client("s3", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
    s3.create_bucket(Bucket="silver")
    ledger = Ledger(s3, bucket="silver", prefix="_batches/")
    a1, a2, a3 = version("a", 1), version("a", 2), version("a", 3)
    ledger.finish(ledger.plan([a1], run_id="r1"), run_id="r1", report={})
    bad = Refusal(object="a.csv", rule="bad", item=a2)
    ledger.finish(ledger.plan([a2], run_id="r2"), run_id="r2", refused=[bad], report={})
    ledger.finish(ledger.plan([a1], run_id="r3", replays=True), run_id="r3", report={})
    assert ledger.refused_by("r2") == (a2,)
    ledger.finish(ledger.plan([a3], run_id="r4"), run_id="r4", report={})
    assert ledger.refused_by("r2") == ()
