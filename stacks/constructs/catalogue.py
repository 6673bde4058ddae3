"""The stage that brings the catalogue up to date: crawlers started, awaited and judged.

Not GlueStartCrawlerRun: its startCrawler.sync does not exist for an AWS SDK integration.
"""

from collections.abc import Sequence

from aws_cdk import Aws, Duration
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from stacks.constructs.delta_crawler import DeltaCrawler
from stacks.constructs.retries import GLUE, retry

POLL = Duration.seconds(2)  # three transitions each time: a crawl of two minutes costs half a cent, and a laptop waits less


def catalogue(scope: Construct, *, crawlers: Sequence[DeltaCrawler]) -> sfn.Map:
    """Runs the crawlers of the layers that this run may have written, all at the same time.

    Reads $.only and $.crawlers: [{"layer", "name"}].
    """
    stage = sfn.Map(
        scope,
        "Catalogue",
        items_path="$.crawlers",
        item_selector={
            "only.$": "$.only",
            "layer.$": "$$.Map.Item.Value.layer",
            "name.$": "$$.Map.Item.Value.name",
        },
        result_path=sfn.JsonPath.DISCARD,
    )
    stage.item_processor(_crawl(scope, crawlers=crawlers))
    # Crawlers of Delta tables fail now and then with an internal error of Glue (delta-io/delta-rs#2937).
    stage.add_retry(errors=["CrawlFailed"], max_attempts=1, interval=Duration.seconds(30))
    return stage


def _crawl(scope: Construct, *, crawlers: Sequence[DeltaCrawler]) -> sfn.Chain:
    addresses = [f"arn:{Aws.PARTITION}:glue:{Aws.REGION}:{Aws.ACCOUNT_ID}:crawler/{crawler.name}" for crawler in crawlers]

    def call(name: str, action: str, *, result_path: str) -> tasks.CallAwsService:
        return tasks.CallAwsService(
            scope,
            name,
            service="glue",
            action=action,
            parameters={"Name": sfn.JsonPath.string_at("$.name")},
            iam_action=f"glue:{action[0].upper()}{action[1:]}",
            iam_resources=addresses,
            result_path=result_path,
        )

    start = call("Start crawler", "startCrawler", result_path=sfn.JsonPath.DISCARD)
    # A crawl that runs already may have begun before this run's tables were written: wait for its end, then start ours.
    start.add_retry(
        errors=["Glue.CrawlerRunningException", "Glue.CrawlerStoppingException"],
        interval=Duration.seconds(15),
        max_attempts=40,
        backoff_rate=1,
    )
    look = call("Look at crawler", "getCrawler", result_path="$.found")
    for task in (start, look):
        retry(task, *GLUE)
    wait = sfn.Wait(scope, "While it crawls", time=sfn.WaitTime.duration(POLL))
    done = sfn.Pass(scope, "Crawled")
    failed = sfn.Fail(scope, "Crawl failed", error="CrawlFailed", cause_path="States.JsonToString($.found.Crawler.LastCrawl)")
    ready = sfn.Condition.string_equals("$.found.Crawler.State", "READY")
    succeeded = sfn.Condition.string_equals("$.found.Crawler.LastCrawl.Status", "SUCCEEDED")
    judge = sfn.Choice(scope, "How did it end?")
    judge.when(sfn.Condition.and_(ready, succeeded), done).when(ready, failed).otherwise(wait)
    start.next(wait.next(look).next(judge))
    touched = sfn.Condition.or_(
        sfn.Condition.string_equals("$.only", "all"), sfn.Condition.string_equals_json_path("$.only", "$.layer")
    )
    untouched = sfn.Pass(scope, "Untouched")
    return sfn.Chain.start(sfn.Choice(scope, "Written?").when(touched, start).otherwise(untouched))
