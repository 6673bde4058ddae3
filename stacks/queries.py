"""The questions that people ask most, as Athena's named queries."""

from lake.names import Names, Workgroup


def named_queries(group: Workgroup, *, names: Names) -> dict[str, tuple[str, str]]:
    """(database, SQL) by title."""
    gold, silver, bronze = names.database("gold"), names.database("silver"), names.database("bronze")
    queries: dict[Workgroup, dict[str, tuple[str, str]]] = {
        "analysts": {
            "Neighbourhoods by median delay": (
                gold,
                f"""SELECT neighborhood, count(*) AS cases, approx_percentile(delay_days, 0.5) AS median_delay_days
FROM {gold}.case_delays
GROUP BY neighborhood
ORDER BY median_delay_days DESC
LIMIT 10""",
            ),
            "Departments by days lost": (
                gold,
                f"""SELECT department, count(*) AS cases, sum(delay_days) AS days_lost
FROM {gold}.case_delays
GROUP BY department
ORDER BY days_lost DESC""",
            ),
            "Requests and what is still open, by month": (
                gold,
                f"""SELECT month, sum(requests) AS requests, sum(closed) AS closed, sum(open_backlog) AS still_open
FROM {gold}.neighborhood_service
GROUP BY month
ORDER BY month DESC
LIMIT 36""",
            ),
            "Neighbourhoods by open requests, with the oldest month": (
                gold,
                f"""SELECT neighborhood, sum(open_backlog) AS still_open, sum(requests) AS requests, min(month) AS oldest_month
FROM {gold}.neighborhood_service
WHERE open_backlog > 0
GROUP BY neighborhood
ORDER BY still_open DESC""",
            ),
            "Where a reason is closed slowest, in the newest year": (
                gold,
                f"""SELECT reason, neighborhood, month, requests, median_days_to_close, p90_days_to_close, on_time_share
FROM {gold}.neighborhood_service
WHERE opened_year = (SELECT max(opened_year) FROM {gold}.neighborhood_service) AND closed >= 10
ORDER BY median_days_to_close DESC
LIMIT 50""",
            ),
            "Slowest types of the newest year": (
                gold,
                f"""SELECT type, requests, open, median_days_to_close, p90_days_to_close, on_time_share
FROM {gold}.response_times
WHERE opened_year = (SELECT max(opened_year) FROM {gold}.response_times) AND closed >= 20
ORDER BY median_days_to_close DESC
LIMIT 25""",
            ),
            "Types from year to year": (
                gold,
                f"""SELECT type, opened_year, requests, median_days_to_close,
    median_days_to_close - lag(median_days_to_close) OVER (PARTITION BY type ORDER BY opened_year) AS longer_by_days
FROM {gold}.response_times
ORDER BY type, opened_year""",
            ),
        },
        "scientists": {
            "Requests by year and type": (
                silver,
                f"""SELECT opened_year, type, count(*) AS cases, count(closed_at) AS closed
FROM {silver}.service_requests
GROUP BY opened_year, type
ORDER BY opened_year DESC, cases DESC""",
            ),
            "Cases of which resources tell different things": (
                silver,
                f"""SELECT s.case_id, s.resource_id, o.resource_id AS older, s.status, o.status AS older_status, s.closed_at,
    o.closed_at AS older_closed_at
FROM {silver}.service_requests s
JOIN {silver}.service_requests_superseded o ON o.case_id = s.case_id
WHERE s.row_hash <> o.row_hash
ORDER BY s.case_id, older""",
            ),
        },
        "engineers": {
            "Quarantined rows by rule": (
                silver,
                f"""SELECT rule, object, count(*) AS quarantined
FROM {silver}.service_requests_quarantine
GROUP BY rule, object
ORDER BY quarantined DESC""",
            ),
            "What was decided of each object": (
                bronze,
                f"""SELECT r.run_id, r.ended_at, d.object, d.decision
FROM {bronze}.runs r
CROSS JOIN UNNEST(r.decisions) AS d (object, decision)
ORDER BY r.ended_at DESC, d.object""",
            ),
            "What was refused": (
                bronze,
                f"""SELECT r.run_id, r.ended_at, d.object, d.rule
FROM {bronze}.runs r
CROSS JOIN UNNEST(r.refused) AS d (object, rule)
ORDER BY r.ended_at DESC, d.object""",
            ),
            "Last runs": (
                bronze,
                f"""SELECT run_id, source, outcome, started_at, seconds, error
FROM {bronze}.runs
ORDER BY started_at DESC
LIMIT 20""",
            ),
        },
    }
    return queries[group]
