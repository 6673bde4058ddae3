"""Athena's SQL on DuckDB gives Trino's documented answers, and nothing outside Athena's list gets through.

Expected values: Trino documentation, "Functions and operators" and "SQL language"; Athena user guide.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from local.engines.athena_aggregates import AGGREGATES, WINDOWS
from local.engines.athena_calls import LAMBDAS, SPECIAL
from local.engines.athena_print import datum
from local.engines.athena_query import translate
from local.engines.athena_refused import TRINO_ONLY
from local.engines.athena_relations import Table
from local.engines.athena_run import connect, fetch, lock
from local.engines.athena_signatures import SIGNATURES
from local.engines.athena_types import (
    BIGINT,
    DOUBLE,
    INTEGER,
    TIMESTAMP,
    VARCHAR,
    AthenaError,
    Type,
    array,
    decimal_type,
    parse_type,
)

CASES = [
    ("id", BIGINT),
    ("area", VARCHAR),
    ("delay", DOUBLE),
    ("fee", decimal_type(10, 2)),
    ("opened", TIMESTAMP),
    ("tags", array(VARCHAR)),
    ("place", Type("row", (("zip", VARCHAR), ("ward", INTEGER)))),
]
_ROWS = """CREATE TABLE cases AS SELECT CAST(id AS BIGINT) id, area, CAST(delay AS DOUBLE) delay, CAST(fee AS DECIMAL(10,2)) fee,
 opened, tags, place FROM (VALUES
 (1, 'Roxbury', 1.0, 1.10, TIMESTAMP '2011-07-01 04:00:00', ['a','b'], {'zip': '02119', 'ward': 8}),
 (2, 'Roxbury', 3.0, 2.20, TIMESTAMP '2011-07-02 05:30:00', ['c'], {'zip': '02120', 'ward': 9}),
 (3, 'allston', 2.0, NULL, TIMESTAMP '2011-08-01 00:00:00', [], NULL),
 (4, NULL, NULL, 0.05, NULL, NULL, NULL)) AS v(id, area, delay, fee, opened, tags, place)"""


@pytest.fixture(scope="module")
def database() -> Iterator[Any]:
    connection = connect()
    connection.execute(_ROWS)
    lock(connection)
    yield connection
    connection.close()


def catalogue(name: str | None, table: str, position: tuple[int, int] | None) -> Table:
    if table != "cases" or name not in (None, "gold"):
        raise AthenaError("TABLE_NOT_FOUND", f"Table 'awsdatacatalog.{name or 'gold'}.{table}' does not exist", position)
    return Table("cases", CASES)


def run(database: Any, sql: str) -> list[list[str | None]]:
    return fetch(database, translate(sql, catalogue))


def types(sql: str) -> list[str]:
    return [str(kind) for _, kind in translate(f"SELECT {sql}", catalogue).columns]


def failure(database: Any, sql: str) -> str:
    with pytest.raises(AthenaError) as caught:
        run(database, sql)
    return str(caught.value)


ANSWERS = [
    # division: whole numbers stay whole, decimals keep Trino's scale, doubles follow IEEE
    ("7 / 2", "3"),
    ("-7 / 2", "-3"),
    ("7 % -3", "1"),
    ("7 / 2e0", "3.5"),
    ("7 / 2.0", "3.5"),
    ("1 / 3.0", "0.3"),
    ("1.00 / 3", "0.33"),
    ("0.3 / 2.0", "0.2"),
    ("-0.3 / 2.0", "-0.2"),
    ("1e0 / 0", "Infinity"),
    ("0e0 / 0", "NaN"),
    ("1.5 * 2.25", "3.375"),
    ("0.1 + 0.2", "0.3"),
    ("TRY(1 / 0)", None),
    ("COALESCE(TRY(1 / 0), 5)", "5"),
    ("TRY(CAST('x' AS bigint))", None),
    # NULLs
    ("greatest(1, NULL)", None),
    ("least(3, 2)", "2"),
    ("greatest(1, 2.5)", "2.5"),
    ("concat('a', NULL)", None),
    ("'a' || 'b' || 'c'", "abc"),
    ("concat_ws(',', 'a', NULL, 'b')", "a,b"),
    ("nullif(1, 1)", None),
    ("IF(1 > 2, 'a')", None),
    ("NULL IS NOT DISTINCT FROM NULL", "true"),
    ("1 IN (2, NULL)", None),
    ("CASE 2 WHEN 1 THEN 'one' WHEN 2 THEN 'two' END", "two"),
    # casts
    ("CAST(2.5 AS integer)", "3"),
    ("CAST(2.5e0 AS integer)", "3"),
    ("CAST(-2.5e0 AS bigint)", "-3"),
    ("CAST('12' AS integer)", "12"),
    ("TRY_CAST('1.5' AS integer)", None),
    ("TRY_CAST(' 12' AS integer)", None),
    ("CAST(' 1.5 ' AS double)", "1.5"),
    ("CAST(37.7e0 AS varchar)", "3.77E1"),
    ("CAST(1.50 AS varchar)", "1.50"),
    ("CAST('abcdef' AS varchar(3))", "abc"),
    ("CAST(true AS varchar)", "true"),
    ("CAST('TRUE' AS boolean)", "true"),
    ("TRY_CAST('yes' AS boolean)", None),
    ("CAST(1.005 AS decimal(10, 2))", "1.01"),
    ("TRY_CAST('2020-01-01T00:00:00' AS timestamp)", None),
    ("CAST('2020-01-01 10:00' AS timestamp)", "2020-01-01 10:00:00.000"),
    ("CAST(DATE '2020-01-01' AS timestamp)", "2020-01-01 00:00:00.000"),
    ("CAST(TIMESTAMP '2020-01-01 23:59:59.999' AS date)", "2020-01-01"),
    ("CAST(TIMESTAMP '2020-01-01 00:00:00' AS varchar)", "2020-01-01 00:00:00.000"),
    ("typeof(1)", "integer"),
    ("typeof(3000000000)", "bigint"),
    ("typeof(1.5)", "decimal(2,1)"),
    ("typeof('abc')", "varchar(3)"),
    # how values print
    ("1e10", "1.0E10"),
    ("1e-4", "1.0E-4"),
    ("CAST(100 AS double)", "100.0"),
    ("CAST(0.1 AS real)", "0.1"),
    ("TIMESTAMP '2011-07-01 04:00:00'", "2011-07-01 04:00:00.000"),
    ("TIMESTAMP '2011-07-01 04:00:00 UTC'", "2011-07-01 04:00:00.000 UTC"),
    ("ARRAY['a', NULL]", "[a, null]"),
    ("MAP(ARRAY['a'], ARRAY[1])", "{a=1}"),
    ("ROW(1, 'a')", "{field0=1, field1=a}"),
    ("CAST(ROW(1, 'a') AS ROW(x bigint, y varchar))", "{x=1, y=a}"),
    ("INTERVAL '1' DAY", "1 00:00:00.000"),
    # dates and times
    ("date_trunc('month', DATE '2020-02-03')", "2020-02-01"),
    ("date_trunc('hour', TIMESTAMP '2001-08-22 03:04:05.321')", "2001-08-22 03:00:00.000"),
    ("date_trunc('week', TIMESTAMP '2001-08-22 03:04:05.321')", "2001-08-20 00:00:00.000"),
    ("date_trunc('quarter', TIMESTAMP '2001-08-22 03:04:05.321')", "2001-07-01 00:00:00.000"),
    ("date_diff('second', TIMESTAMP '2020-03-01 00:00:00', TIMESTAMP '2020-03-02 00:00:00')", "86400"),
    ("date_diff('hour', TIMESTAMP '2020-03-01 00:00:00', TIMESTAMP '2020-03-01 01:59:59')", "1"),
    ("date_diff('day', TIMESTAMP '2020-03-01 23:00:00', TIMESTAMP '2020-03-02 01:00:00')", "0"),
    ("date_diff('day', DATE '2020-03-01', DATE '2020-02-01')", "-29"),
    ("date_diff('month', DATE '2020-01-31', DATE '2020-02-01')", "0"),
    ("date_add('second', 86, TIMESTAMP '2020-03-01 00:00:00')", "2020-03-01 00:01:26.000"),
    ("date_add('hour', 9, TIMESTAMP '2020-03-01 00:00:00')", "2020-03-01 09:00:00.000"),
    ("date_add('day', -1, TIMESTAMP '2020-03-01 00:00:00 UTC')", "2020-02-29 00:00:00.000 UTC"),
    ("date_add('quarter', 1, DATE '2020-01-31')", "2020-04-30"),
    ("DATE '2012-01-31' + INTERVAL '1' MONTH", "2012-02-29"),
    ("DATE '2012-08-08' + INTERVAL '2' DAY", "2012-08-10"),
    ("TIMESTAMP '2012-08-08 01:00' - INTERVAL '2' HOUR", "2012-08-07 23:00:00.000"),
    ("date_format(TIMESTAMP '2022-10-20 05:10:00', '%m-%d-%Y %H')", "10-20-2022 05"),
    ("date_format(TIMESTAMP '2022-10-20 15:10:09', '%c/%e/%y %l:%i:%s %p')", "10/20/22 3:10:09 PM"),
    ("date_parse('2022/10/20/05', '%Y/%m/%d/%H')", "2022-10-20 05:00:00.000"),
    ("format_datetime(TIMESTAMP '2022-10-20 15:10:09', 'yyyy-MM-dd''T''HH:mm:ss.SSS EEE')", "2022-10-20T15:10:09.000 Thu"),
    ("parse_datetime('2022-10-20', 'yyyy-MM-dd')", "2022-10-20 00:00:00.000 UTC"),
    ("from_iso8601_timestamp('2020-05-11T11:15:05Z')", "2020-05-11 11:15:05.000 UTC"),
    ("from_iso8601_date('2020-05-11')", "2020-05-11"),
    ("to_iso8601(TIMESTAMP '2020-05-11 11:15:05')", "2020-05-11T11:15:05.000"),
    ("TIMESTAMP '2012-10-31 01:00 UTC' AT TIME ZONE 'America/Los_Angeles'", "2012-10-30 18:00:00.000 America/Los_Angeles"),
    ("at_timezone(TIMESTAMP '2012-10-31 01:00', 'America/New_York')", "2012-10-30 21:00:00.000 America/New_York"),
    ("hour(TIMESTAMP '2012-10-31 01:00 UTC' AT TIME ZONE 'America/New_York')", "21"),
    ("CAST(TIMESTAMP '2012-10-31 01:00 UTC' AT TIME ZONE 'America/New_York' AS date)", "2012-10-30"),
    (
        "date_trunc('day', TIMESTAMP '2012-10-31 01:00 UTC' AT TIME ZONE 'America/New_York')",
        "2012-10-30 00:00:00.000 America/New_York",
    ),
    ("with_timezone(TIMESTAMP '2021-07-01 04:00:00', 'America/New_York')", "2021-07-01 04:00:00.000 America/New_York"),
    ("to_unixtime(TIMESTAMP '1970-01-02 00:00:00')", "86400.0"),
    ("from_unixtime(1.5)", "1970-01-01 00:00:01.500 UTC"),
    ("EXTRACT(YEAR FROM TIMESTAMP '2022-10-20 05:10:00')", "2022"),
    ("day_of_week(DATE '2020-01-05')", "7"),
    ("week(DATE '2020-12-31')", "53"),
    ("year_of_week(DATE '2021-01-01')", "2020"),
    ("day_of_year(DATE '2020-02-01')", "32"),
    ("millisecond(TIMESTAMP '2020-01-01 00:00:07.123')", "123"),
    ("last_day_of_month(DATE '2020-02-03')", "2020-02-29"),
    ("DATE '2020-01-01' < TIMESTAMP '2020-01-01 00:00:01'", "true"),
    # texts
    ("'a' = 'A'", "false"),
    ("'Abc' LIKE 'a%'", "false"),
    ("'50%' LIKE '50$%' ESCAPE '$'", "true"),
    ("substr('hello', -3)", "llo"),
    ("substr('hello', 0)", ""),
    ("substr('hello', -10)", ""),
    ("substring('hello' FROM 2 FOR 3)", "ell"),
    ("strpos('hello', 'l')", "3"),
    ("position('l' IN 'hello')", "3"),
    ("length('Zürich')", "6"),
    ("upper('abc')", "ABC"),
    ("trim('  a\t')", "a"),
    ("trim(LEADING 'x' FROM 'xxa')", "a"),
    ("lpad('7', 3, '0')", "007"),
    ("lpad('abcd', 2, '0')", "ab"),
    ("split('a-b', '-')", "[a, b]"),
    ("split_part('a-b', '-', 2)", "b"),
    ("split_part('a-b', '-', 3)", None),
    ("replace('aXbX', 'X')", "ab"),
    ("starts_with('abc', 'ab')", "true"),
    ("reverse('abc')", "cba"),
    ("to_hex(md5(to_utf8('a')))", "0CC175B9C0F1B6A831C399E269772661"),
    ("regexp_like('1a 2b 14m', '\\d+b')", "true"),
    ("regexp_extract('1a 2b 14m', '\\d+')", "1"),
    ("regexp_extract('1a 2b 14m', '(\\d+)([a-z]+)', 2)", "a"),
    ("regexp_extract('abc', '\\d')", None),
    ("regexp_extract_all('1a 2b 14m', '\\d+')", "[1, 2, 14]"),
    ("regexp_replace('1a 2b 14m', '\\d+[ab] ')", "14m"),
    ("regexp_replace('1a 2b 14m', '(\\d+)([ab]) ', '3c$2 ')", "3ca 3cb 14m"),
    ("regexp_split('1a 2b 14m', '\\s*[a-z]+\\s*')", "[1, 2, 14, ]"),
    # numbers
    ("round(2.5e0)", "3.0"),
    ("round(-2.5)", "-3"),
    ("round(1.2345e0, 2)", "1.23"),
    ("ceil(-1.5)", "-1"),
    ("floor(7)", "7"),
    ("power(2, 10)", "1024.0"),
    ("sqrt(-1e0)", "NaN"),
    ("ln(0e0)", "-Infinity"),
    ("abs(-5)", "5"),
    ("mod(-7, 3)", "-1"),
    ("sign(-2)", "-1"),
    ("truncate(1.9e0)", "1.0"),
    # arrays, maps, rows, lambdas
    ("element_at(ARRAY[1, 2], 3)", None),
    ("element_at(ARRAY[1, 2], -1)", "2"),
    ("ARRAY[1, 2][1]", "1"),
    ("element_at(MAP(ARRAY['a'], ARRAY[1]), 'b')", None),
    ("cardinality(ARRAY[1, 2, NULL])", "3"),
    ("contains(ARRAY[1, 2], 2)", "true"),
    ("contains(ARRAY[1, NULL], 2)", None),
    ("array_join(ARRAY[1, NULL, 3], '-')", "1-3"),
    ("array_join(ARRAY['a', NULL], ',', '?')", "a,?"),
    ("array_distinct(ARRAY[2, 1, 2, NULL, NULL])", "[2, 1, null]"),
    ("array_sort(ARRAY[3, NULL, 1])", "[1, 3, null]"),
    ("array_max(ARRAY[1, NULL])", None),
    ("array_position(ARRAY['a', 'b'], 'c')", "0"),
    ("slice(ARRAY[1, 2, 3, 4], -2, 2)", "[3, 4]"),
    ("sequence(1, 4)", "[1, 2, 3, 4]"),
    ("sequence(DATE '2020-01-30', DATE '2020-02-01')", "[2020-01-30, 2020-01-31, 2020-02-01]"),
    ("flatten(ARRAY[ARRAY[1], ARRAY[2, 3]])", "[1, 2, 3]"),
    ("ARRAY[1] || ARRAY[2]", "[1, 2]"),
    ("ARRAY[1] || 2", "[1, 2]"),
    ("transform(ARRAY[5, NULL, 6], x -> COALESCE(x, 0) + 1)", "[6, 1, 7]"),
    ("filter(ARRAY[5, -6, NULL, 7], x -> x > 0)", "[5, 7]"),
    ("reduce(ARRAY[5, 20, 50], 0, (s, x) -> s + x, s -> s)", "75"),
    ("reduce(ARRAY[1, 2], 1.5e0, (s, x) -> s + x, s -> s * 2)", "9.0"),
    ("any_match(ARRAY[1, 2], x -> x > 1)", "true"),
    ("all_match(ARRAY[], x -> true)", "true"),
    ("none_match(ARRAY[1, 2], x -> x > 2)", "true"),
    ("map_keys(MAP(ARRAY['a', 'b'], ARRAY[1, 2]))", "[a, b]"),
    ('json_extract_scalar(\'{"a": {"b": [1, "x"]}}\', \'$.a.b[1]\')', "x"),
    ("json_extract_scalar('{\"a\": {}}', '$.a')", None),
    ("json_extract_scalar('not json', '$.a')", None),
    ('json_extract(\'{"a": {"c": 1, "b": 2}}\', \'$.a\')', '{"b":2,"c":1}'),
    ("json_array_length('[1, 2, 3]')", "3"),
    ("CAST(json_parse('[1, 2]') AS array(bigint))", "[1, 2]"),
    ("1 = ANY (VALUES 1, 2)", "true"),
    ("1 > ALL (VALUES 0, 1)", "false"),
]


@pytest.mark.parametrize(("expression", "expected"), ANSWERS, ids=[a for a, _ in ANSWERS])
def test_trinos_answer(database: Any, expression: str, expected: str | None) -> None:
    assert run(database, f"SELECT {expression}") == [[expected]]


QUERIES: list[tuple[str, list[list[str | None]]]] = [
    ("SELECT id FROM cases ORDER BY area", [["1"], ["2"], ["3"], ["4"]]),
    ("SELECT id FROM cases ORDER BY area DESC, id DESC", [["3"], ["2"], ["1"], ["4"]]),
    ("SELECT id FROM cases ORDER BY delay DESC NULLS FIRST LIMIT 2", [["4"], ["2"]]),
    ("SELECT id FROM cases ORDER BY id OFFSET 1 LIMIT 2", [["2"], ["3"]]),
    ("SELECT id FROM cases ORDER BY id FETCH FIRST 1 ROW ONLY", [["1"]]),
    ("SELECT area, count(*) AS n FROM cases GROUP BY area ORDER BY n DESC, 1", [["Roxbury", "2"], ["allston", "1"], [None, "1"]]),
    ("SELECT lower(area), sum(id) FROM cases GROUP BY 1 HAVING sum(id) > 3 ORDER BY 1", [[None, "4"]]),
    ("SELECT sum(id), avg(id), avg(fee), sum(fee), count(delay) FROM cases", [["10", "2.5", "1.12", "3.35", "3"]]),
    ("SELECT sum(id) / count(*), sum(delay) / count(*) FROM cases", [["2", "1.5"]]),
    ("SELECT approx_percentile(delay, 0.5), approx_percentile(id, 0.5) FROM cases", [["2.0", "3"]]),
    ("SELECT approx_percentile(delay, ARRAY[0.0, 1.0]) FROM cases", [["[1.0, 3.0]"]]),
    ("SELECT approx_distinct(area), count(DISTINCT area), count_if(id > 2) FROM cases", [["2", "2", "2"]]),
    ("SELECT max_by(area, delay), min_by(id, delay), arbitrary(1) FROM cases", [["Roxbury", "1", "1"]]),
    ("SELECT array_agg(id ORDER BY id DESC) FILTER (WHERE id < 3) FROM cases", [["[2, 1]"]]),
    ("SELECT listagg(area, ',') WITHIN GROUP (ORDER BY id) FROM cases WHERE area IS NOT NULL", [["Roxbury,Roxbury,allston"]]),
    ("SELECT histogram(area) FROM cases WHERE area = 'Roxbury'", [["{Roxbury=2}"]]),
    ("SELECT stddev(delay), bool_and(id > 0), min(opened) FROM cases", [["1.0", "true", "2011-07-01 04:00:00.000"]]),
    ("SELECT sum(id) FROM cases WHERE false", [[None]]),
    (
        "SELECT id, row_number() OVER (PARTITION BY area ORDER BY id DESC) FROM cases WHERE id < 3 ORDER BY 1",
        [["1", "2"], ["2", "1"]],
    ),
    ("SELECT lag(id, 1, 0) OVER (ORDER BY id), sum(id) OVER (ORDER BY id) FROM cases LIMIT 2", [["0", "1"], ["1", "3"]]),
    ("SELECT rank() OVER w FROM cases WINDOW w AS (ORDER BY area) ORDER BY 1", [["1"], ["1"], ["3"], ["4"]]),
    (
        "SELECT last_value(id) OVER (ORDER BY id ROWS BETWEEN CURRENT ROW AND 1 FOLLOWING) FROM cases ORDER BY 1",
        [["2"], ["3"], ["4"], ["4"]],
    ),
    (
        "SELECT t.tag, n FROM cases CROSS JOIN UNNEST(tags) WITH ORDINALITY AS t(tag, n) ORDER BY 1",
        [["a", "1"], ["b", "2"], ["c", "1"]],
    ),
    ("SELECT id, tag FROM cases LEFT JOIN UNNEST(tags) AS t(tag) ON TRUE WHERE id > 2 ORDER BY 1", [["3", None], ["4", None]]),
    ("SELECT a, b FROM UNNEST(ARRAY[1, 2], ARRAY['x']) AS t(a, b) ORDER BY 1", [["1", "x"], ["2", None]]),
    ("SELECT x, y FROM UNNEST(ARRAY[ROW(1, 'a'), ROW(2, 'b')]) AS t(x, y)", [["1", "a"], ["2", "b"]]),
    ("SELECT k, v FROM UNNEST(MAP(ARRAY['a'], ARRAY[1])) AS t(k, v)", [["a", "1"]]),
    ("SELECT place.zip, c.place.ward FROM cases c WHERE id = 1", [["02119", "8"]]),
    (
        "WITH a AS (SELECT id, area FROM cases WHERE id < 3) SELECT id, b.fee FROM a JOIN cases b USING (id) ORDER BY id",
        [["1", "1.10"], ["2", "2.20"]],
    ),
    ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT sum(i) FROM n", [["6"]]),
    ("SELECT c.id FROM cases c WHERE EXISTS (SELECT 1 FROM cases d WHERE d.id = c.id + 3)", [["1"]]),
    ("SELECT id FROM gold.cases WHERE id IN (SELECT max(id) FROM awsdatacatalog.gold.cases)", [["4"]]),
    ("SELECT (SELECT count(*) FROM cases d WHERE d.id > c.id) FROM cases c WHERE id = 1", [["3"]]),
    ("SELECT 1 UNION ALL SELECT 2.5 ORDER BY 1 DESC", [["2.5"], ["1.0"]]),
    ("SELECT 1 AS a EXCEPT SELECT 1", []),
    ("VALUES (1, 'a'), (2, NULL)", [["1", "a"], ["2", None]]),
    ("SELECT a + 1 AS b FROM (VALUES 1, 2) AS t(a) ORDER BY -a", [["3"], ["2"]]),
    ("SELECT -id AS id FROM cases WHERE id < 3 ORDER BY id + 0", [["-2"], ["-1"]]),
    ("SELECT a.id FROM cases a JOIN cases b ON a.id = b.id + 3 ORDER BY a.id, b.id", [["4"]]),
    ("SELECT date('2020-01-02'), sum(id) * 1.0 / count(*) FROM cases", [["2020-01-02", "2.5"]]),
    ("SELECT count(*) * 100.0 / sum(count(*)) OVER () FROM cases GROUP BY area IS NULL ORDER BY 1", [["25.0"], ["75.0"]]),
    ("SELECT DISTINCT area FROM cases WHERE area LIKE 'R%'", [["Roxbury"]]),
    (
        "SELECT area, grouping FROM (SELECT area, count(*) AS grouping FROM cases GROUP BY ROLLUP (area)) WHERE grouping = 4",
        [[None, "4"]],
    ),
    ("SELECT id -- a comment\nFROM cases /* another */ WHERE id = 1", [["1"]]),
]


@pytest.mark.parametrize(("sql", "expected"), QUERIES, ids=[q for q, _ in QUERIES])
def test_queries(database: Any, sql: str, expected: list[list[str | None]]) -> None:
    assert run(database, sql) == expected


REFUSED = [
    ("SELECT 1 / 0", "DIVISION_BY_ZERO: Division by zero"),
    ("SELECT id / (id - id) FROM cases", "DIVISION_BY_ZERO"),
    ("SELECT 1.0 / 0", "DIVISION_BY_ZERO"),
    ("SELECT xyz(1)", "FUNCTION_NOT_FOUND: line 1:8: Function 'xyz' not registered"),
    ("SELECT id,\n  list_sum(tags) FROM cases", "FUNCTION_NOT_FOUND: line 2:3: Function 'list_sum' not registered"),
    ("SELECT approx_most_frequent(3, area, 10) FROM cases", "NOT_SUPPORTED: line 1:8: Function 'approx_most_frequent'"),
    ("SELECT length(5)", "FUNCTION_NOT_FOUND: line 1:8: Unexpected parameters (integer) for function length"),
    ("SELECT * FROM gold.nope", "TABLE_NOT_FOUND: line 1:15: Table 'awsdatacatalog.gold.nope' does not exist"),
    ("SELECT are FROM cases", "COLUMN_NOT_FOUND: line 1:8: Column 'are' cannot be resolved or requester is not"),
    ("SELECT are FROM cases", "Did you mean 'area'?"),
    (
        "SELECT a.id FROM cases a JOIN cases b ON a.id = b.id WHERE area = ''",
        "AMBIGUOUS_NAME: line 1:60: Column 'area' is ambiguous",
    ),
    ("SELECT id FROM cases WHERE area = 5", "TYPE_MISMATCH: line 1:28: Cannot apply operator: varchar = integer"),
    ("SELECT id FROM cases WHERE id", "TYPE_MISMATCH: line 1:28: WHERE clause must evaluate to a boolean"),
    ("SELECT area FROM cases GROUP BY id", "EXPRESSION_NOT_AGGREGATE"),
    ("SELECT CAST('x' AS bigint)", "INVALID_CAST_ARGUMENT: Cannot cast value to bigint: x"),
    ("SELECT ARRAY[1][2]", "INVALID_FUNCTION_ARGUMENT: Array subscript"),
    ("SELECT MAP(ARRAY['a'], ARRAY[1])['b']", "INVALID_FUNCTION_ARGUMENT: Key not present in map: b"),
    ("SELECT date_parse('x', '%Y')", "INVALID_FUNCTION_ARGUMENT: Invalid format: x"),
    ("SELECT date_trunc('hour', DATE '2020-01-01')", "'hour' is not a valid DATE field"),
    ("SELECT from_iso8601_timestamp('2020-01-01T00:00:00+02:00')", "NOT_SUPPORTED"),
    ("SELECT 2147483647 + 1", "NUMERIC_VALUE_OUT_OF_RANGE"),
    ("SELECT (SELECT id FROM cases)", "SUBQUERY_MULTIPLE_ROWS"),
    ("SELECT 1; SELECT 2", "SYNTAX_ERROR"),
    ("SELECT 1 FROM", "SYNTAX_ERROR: line 1:"),
    ("SELECT id FROM cases QUALIFY row_number() OVER (ORDER BY id) = 1", "SYNTAX_ERROR"),
    ("SELECT DISTINCT ON (id) id FROM cases", "SYNTAX_ERROR"),
    ("SELECT * EXCLUDE (id) FROM cases", "SYNTAX_ERROR"),
    ("SELECT count(*) FILTER (WHERE id > 1) OVER (), nope() OVER () FROM cases", "FUNCTION_NOT_FOUND"),
]


@pytest.mark.parametrize(("sql", "expected"), REFUSED, ids=[f"{q} {e[:12]}" for q, e in REFUSED])
def test_refusals_are_worded_as_athenas(database: Any, sql: str, expected: str) -> None:
    assert expected in failure(database, sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        'SELECT * FROM "/etc/passwd"',
        "SELECT * FROM 's3://bucket/file.parquet'",
        "SELECT read_text('/etc/passwd')",
        "SELECT getenv('HOME')",
        "SELECT * FROM duckdb_secrets()",
        "SELECT * FROM pg_catalog.pg_tables",
        "SELECT current_setting('access_mode')",
        "SELECT * FROM glob('*')",
        "SELECT query('SELECT 1')",
        "COPY (SELECT 1) TO '/tmp/x'",
        "ATTACH '/tmp/x.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "PRAGMA database_list",
        "SET threads = 1",
        "CALL enable_logging()",
        "EXPORT DATABASE '/tmp/x'",
        "CREATE TABLE x AS SELECT 1",
        "DELETE FROM cases",
        "SELECT 1 AS a, COLUMNS('a') FROM cases",
        "FROM cases",
        "SELECT {'a': 1}",
        "SELECT [1, 2]",
        "SELECT 1::varchar::json -> 'a'",
        "SELECT list_transform(tags, x -> x) FROM cases",
        "SELECT error('x')",
        "PIVOT cases ON area USING count(*)",
        "SELECT * FROM cases POSITIONAL JOIN cases",
        "SELECT #1 FROM cases",
        "SELECT id FROM cases USING SAMPLE 1",
    ],
)
def test_duckdbs_own_language_does_not_get_through(database: Any, sql: str) -> None:
    code = failure(database, sql).split(":")[0]
    assert code in ("SYNTAX_ERROR", "NOT_SUPPORTED", "FUNCTION_NOT_FOUND", "TABLE_NOT_FOUND", "COLUMN_NOT_FOUND")


def test_names_of_columns() -> None:
    columns = translate("SELECT id, count(*), area AS Name, place.zip FROM cases GROUP BY 1, 3, 4", catalogue).columns
    assert [name for name, _ in columns] == ["id", None, "Name", "zip"]


def test_types_of_results() -> None:
    assert types("7 / 2.0, 1 + 2e0, sum(id), avg(fee), sum(fee), opened, CAST(1 AS decimal(5, 2)), now(), tags[1] FROM cases") == [
        "decimal(12,1)",
        "double",
        "bigint",
        "decimal(10,2)",
        "decimal(38,2)",
        "timestamp(3)",
        "decimal(5,2)",
        "timestamp(3) with time zone",
        "varchar",
    ]


def test_settings_and_files_are_locked(database: Any) -> None:
    import duckdb

    for statement in ("SET threads = 1", "SELECT * FROM read_csv('/etc/passwd')", "COPY (SELECT 1) TO '/tmp/x'", "INSTALL json"):
        with pytest.raises(duckdb.Error):
            database.execute(statement)


def test_glue_types() -> None:
    kind = parse_type("array<struct<object:string,rule:decimal(10,2),more:map<string,int>>>")
    assert str(kind) == "array(row(object varchar, rule decimal(10,2), more map(varchar,integer)))"
    assert datum([{"object": "a", "rule": None, "more": {"k": 1}}], kind) == "[{object=a, rule=null, more={k=1}}]"


def test_a_function_is_translated_or_refused_but_not_both() -> None:
    translated = {*SPECIAL, *LAMBDAS, *AGGREGATES, *WINDOWS, *(name for name, _, _ in SIGNATURES)}
    assert not translated & TRINO_ONLY
