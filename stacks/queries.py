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
        },
        "scientists": {
            "Requests by year and type": (
                silver,
                f"""SELECT opened_year, type, count(*) AS cases, count(closed_at) AS closed
FROM {silver}.service_requests
GROUP BY opened_year, type
ORDER BY opened_year DESC, cases DESC""",
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
