"""Athena's scalar functions that one DuckDB expression answers: Trino signature and template.

A signature is ``argument types -> result``; T and U stand for any type, {0} is the first argument's SQL. Where several are listed
the first that takes the arguments without a coercion wins, then the first that takes them with one.
Source of names and meanings: Trino documentation "Functions and operators".
"""

from __future__ import annotations

import re
from functools import cache

from local.engines.athena_expr import Ex, convert, fails
from local.engines.athena_types import DATE, INSTANT, TIMESTAMP, Type, array, coerces, common, parse_type

_NAN = "CAST('NaN' AS DOUBLE)"
_MATH1 = ("exp", "cbrt", "sin", "cos", "tan", "atan", "sinh", "cosh", "tanh", "degrees", "radians")
_BAD_INDEX = fails("INVALID_FUNCTION_ARGUMENT: Index must be greater than zero")
_SORTED = "list_sort({0}, 'ASC', 'NULLS LAST')"
_HAS_NULL = "len(list_filter({0}, lambda e: e IS NULL)) > 0"
_DATES = "list_transform(generate_series(CAST({0} AS TIMESTAMP), CAST({1} AS TIMESTAMP), {2}), lambda e: CAST(e AS DATE))"

SIGNATURES: list[tuple[str, str, str]] = [
    # mathematical
    *[("abs", f"{n} -> {n}", "abs({0})") for n in ("tinyint", "smallint", "integer", "bigint", "decimal", "real", "double")],
    *[(n, f"{t} -> {t}", "{0}") for n in ("ceil", "ceiling", "floor") for t in ("integer", "bigint")],
    *[(n, "double -> double", f"{n}({{0}})") for n in ("ceil", "ceiling", "floor")],
    *[("round", f"{t} -> {t}", "{0}") for t in ("integer", "bigint")],
    ("round", "double -> double", "round({0})"),
    ("round", "double, integer -> double", "round({0}, {1})"),
    ("truncate", "double -> double", "trunc({0})"),
    ("sqrt", "double -> double", f"CASE WHEN {{0}} < 0 THEN {_NAN} ELSE sqrt({{0}}) END"),
    *[
        (
            n,
            "double -> double",
            f"CASE WHEN {{0}} = 0 THEN CAST('-Infinity' AS DOUBLE) WHEN {{0}} < 0 THEN {_NAN} ELSE {n}({{0}}) END",
        )
        for n in ("ln", "log2", "log10")
    ],
    ("log", "double, double -> double", "(ln({1}) / ln({0}))"),
    *[(n, "double -> double", f"CASE WHEN abs({{0}}) > 1 THEN {_NAN} ELSE {n}({{0}}) END") for n in ("asin", "acos")],
    *[(n, "double -> double", f"{n}({{0}})") for n in _MATH1],
    ("atan2", "double, double -> double", "atan2({0}, {1})"),
    *[(n, "double, double -> double", "pow({0}, {1})") for n in ("pow", "power")],
    *[("sign", f"{t} -> {t}", f"CAST(sign({{0}}) AS {t.upper()})") for t in ("integer", "bigint", "double")],
    ("pi", "-> double", "pi()"),
    ("e", "-> double", "exp(1.0)"),
    ("nan", "-> double", _NAN),
    ("infinity", "-> double", "CAST('Infinity' AS DOUBLE)"),
    ("is_nan", "double -> boolean", "isnan({0})"),
    ("is_infinite", "double -> boolean", "isinf({0})"),
    ("is_finite", "double -> boolean", "isfinite({0})"),
    *[(n, "-> double", "random()") for n in ("rand", "random")],
    *[(n, "bigint -> bigint", "CAST(floor(random() * {0}) AS BIGINT)") for n in ("rand", "random")],
    ("bitwise_and", "bigint, bigint -> bigint", "({0} & {1})"),
    ("bitwise_or", "bigint, bigint -> bigint", "({0} | {1})"),
    ("bitwise_xor", "bigint, bigint -> bigint", "xor({0}, {1})"),
    ("bitwise_not", "bigint -> bigint", "(~{0})"),
    # strings and binary
    ("length", "varchar -> bigint", "length({0})"),
    ("length", "varbinary -> bigint", "octet_length({0})"),
    ("lower", "varchar -> varchar", "lower({0})"),
    ("upper", "varchar -> varchar", "upper({0})"),
    ("reverse", "varchar -> varchar", "reverse({0})"),
    ("reverse", "array(T) -> array(T)", "list_reverse({0})"),
    *[
        (n, "varchar -> varchar", f"{n}({{0}}, ' ' || chr(9) || chr(10) || chr(11) || chr(12) || chr(13))")
        for n in ("trim", "ltrim", "rtrim")
    ],
    *[(n, "varchar, varchar -> varchar", f"{n}({{0}}, {{1}})") for n in ("trim", "ltrim", "rtrim")],
    ("replace", "varchar, varchar -> varchar", "replace({0}, {1}, '')"),
    ("replace", "varchar, varchar, varchar -> varchar", "replace({0}, {1}, {2})"),
    *[(n, "varchar, bigint, varchar -> varchar", f"{n}({{0}}, CAST({{1}} AS INTEGER), {{2}})") for n in ("lpad", "rpad")],
    *[
        (n, "varchar, bigint -> varchar", "CASE WHEN {1} = 0 OR {1} < -length({0}) THEN '' ELSE substr({0}, {1}) END")
        for n in ("substr", "substring")
    ],
    *[
        (
            n,
            "varchar, bigint, bigint -> varchar",
            "CASE WHEN {1} = 0 OR {1} < -length({0}) OR {2} <= 0 THEN '' ELSE substr({0}, {1}, {2}) END",
        )
        for n in ("substr", "substring")
    ],
    ("strpos", "varchar, varchar -> bigint", "strpos({0}, {1})"),
    ("starts_with", "varchar, varchar -> boolean", "starts_with({0}, {1})"),
    ("split", "varchar, varchar -> array(varchar)", "string_split({0}, {1})"),
    (
        "split_part",
        "varchar, varchar, bigint -> varchar",
        f"string_split({{0}}, {{1}})[CASE WHEN {{2}} < 1 THEN {_BAD_INDEX} ELSE {{2}} END]",
    ),
    ("chr", "bigint -> varchar", "chr(CAST({0} AS INTEGER))"),
    ("codepoint", "varchar -> integer", "unicode({0})"),
    ("translate", "varchar, varchar, varchar -> varchar", "translate({0}, {1}, {2})"),
    ("levenshtein_distance", "varchar, varchar -> bigint", "levenshtein({0}, {1})"),
    ("hamming_distance", "varchar, varchar -> bigint", "hamming({0}, {1})"),
    ("to_utf8", "varchar -> varbinary", "encode({0})"),
    ("from_utf8", "varbinary -> varchar", "decode({0})"),
    *[(n, "varbinary -> varbinary", f"unhex({n}({{0}}))") for n in ("md5", "sha1", "sha256")],
    ("to_hex", "varbinary -> varchar", "hex({0})"),
    ("from_hex", "varchar -> varbinary", "unhex({0})"),
    ("to_base64", "varbinary -> varchar", "to_base64({0})"),
    ("from_base64", "varchar -> varbinary", "from_base64({0})"),
    # regular expressions
    ("regexp_like", "varchar, varchar -> boolean", "regexp_matches({0}, {1})"),
    ("regexp_extract", "varchar, varchar -> varchar", "CASE WHEN regexp_matches({0}, {1}) THEN regexp_extract({0}, {1}) END"),
    (
        "regexp_extract",
        "varchar, varchar, bigint -> varchar",
        "CASE WHEN regexp_matches({0}, {1}) THEN regexp_extract({0}, {1}, CAST({2} AS INTEGER)) END",
    ),
    ("regexp_extract_all", "varchar, varchar -> array(varchar)", "regexp_extract_all({0}, {1})"),
    ("regexp_extract_all", "varchar, varchar, bigint -> array(varchar)", "regexp_extract_all({0}, {1}, CAST({2} AS INTEGER))"),
    ("regexp_split", "varchar, varchar -> array(varchar)", "regexp_split_to_array({0}, {1})"),
    ("regexp_count", "varchar, varchar -> bigint", "len(regexp_extract_all({0}, {1}))"),
    # dates and times
    ("from_iso8601_date", "varchar -> date", "CAST({0} AS DATE)"),
    ("last_day_of_month", "timestamp -> date", "last_day({0})"),
    ("to_unixtime", "timestamp -> double", "epoch({0})"),
    ("to_unixtime", "timestamp with time zone -> double", "epoch({0})"),
    ("from_unixtime", "double -> timestamp with time zone", "to_timestamp(round({0}, 3))"),
    ("current_timezone", "-> varchar", "'UTC'"),
    # arrays and maps
    ("cardinality", "array(T) -> bigint", "len({0})"),
    ("cardinality", "map(T,U) -> bigint", "cardinality({0})"),
    ("array_distinct", "array(T) -> array(T)", "list_filter({0}, lambda e, i: list_position({0}, e) = i)"),
    ("array_sort", "array(T) -> array(T)", _SORTED),
    ("array_max", "array(T) -> T", f"CASE WHEN {_HAS_NULL} THEN NULL ELSE list_max({{0}}) END"),
    ("array_min", "array(T) -> T", f"CASE WHEN {_HAS_NULL} THEN NULL ELSE list_min({{0}}) END"),
    (
        "array_position",
        "array(T), T -> bigint",
        "CASE WHEN {0} IS NOT NULL AND {1} IS NOT NULL THEN coalesce(list_position({0}, {1}), 0) END",
    ),
    ("array_remove", "array(T), T -> array(T)", "list_filter({0}, lambda e: e IS DISTINCT FROM {1})"),
    (
        "contains",
        "array(T), T -> boolean",
        "CASE WHEN {0} IS NULL OR {1} IS NULL THEN NULL WHEN list_contains({0}, {1}) THEN TRUE "
        f"WHEN {_HAS_NULL} THEN NULL ELSE FALSE END",
    ),
    ("flatten", "array(array(T)) -> array(T)", "flatten({0})"),
    ("sequence", "bigint, bigint -> array(bigint)", "generate_series({0}, {1}, CASE WHEN {0} > {1} THEN -1 ELSE 1 END)"),
    ("sequence", "bigint, bigint, bigint -> array(bigint)", "generate_series({0}, {1}, {2})"),
    (
        "sequence",
        "date, date -> array(date)",
        _DATES.replace("{2}", "INTERVAL 1 DAY"),
    ),
    *[
        (
            "sequence",
            f"date, date, {step} -> array(date)",
            _DATES,
        )
        for step in ("interval day to second", "interval year to month")
    ],
    ("repeat", "T, bigint -> array(T)", "list_transform(range({1}), lambda i: {0})"),
    (
        "slice",
        "array(T), bigint, bigint -> array(T)",
        "CASE WHEN {2} = 0 THEN [] WHEN {1} > 0 THEN list_slice({0}, {1}, {1} + {2} - 1) "
        "ELSE list_slice({0}, len({0}) + {1} + 1, len({0}) + {1} + {2}) END",
    ),
    ("map_keys", "map(T,U) -> array(T)", "map_keys({0})"),
    ("map_values", "map(T,U) -> array(U)", "map_values({0})"),
    ("map", "array(T), array(U) -> map(T,U)", "map({0}, {1})"),
    # JSON
    ("json_parse", "varchar -> json", "CAST({0} AS JSON)"),
    ("json_array_length", "json -> bigint", "CASE WHEN json_type({0}) = 'ARRAY' THEN json_array_length({0}) END"),
    (
        "json_array_length",
        "varchar -> bigint",
        "CASE WHEN json_valid({0}) AND json_type({0}) = 'ARRAY' THEN json_array_length({0}) END",
    ),
    ("uuid", "-> varchar", "CAST(uuid() AS VARCHAR)"),
    ("now", "-> timestamp with time zone", "date_trunc('millisecond', now())"),
]


@cache
def parsed(signature: str) -> tuple[tuple[Type, ...], Type]:
    """A signature's argument types and result type; T and U are types of that name."""
    left, right = signature.split("->")
    return tuple(_type(p) for p in re.split(r",\s+", left.strip()) if p), _type(right.strip())


def _type(source: str) -> Type:
    if source in ("T", "U"):
        return Type(source)
    if matched := re.fullmatch(r"array\((.*)\)", source):
        return array(_type(matched[1]))
    if source == "map(T,U)":
        return Type("map", (Type("T"), Type("U")))
    special = {"timestamp": TIMESTAMP, "date": DATE, "timestamp with time zone": INSTANT, "decimal": Type("decimal", (0, 0))}
    return special.get(source) or (Type(source) if " " in source else parse_type(source))


def resolve(signature: str, args: list[Ex], exact: bool) -> tuple[list[Ex], Type] | None:
    """The arguments as the signature wants them and the result's type; None if it does not take them."""
    wanted, result = parsed(signature)
    if len(wanted) != len(args):
        return None
    bound: dict[str, Type] = {}
    for want, arg in zip(wanted, args, strict=True):
        if not _bind(want, arg.type, bound):
            return None
    final = [_fill(want, bound, arg.type) for want, arg in zip(wanted, args, strict=True)]
    for want, arg in zip(final, args, strict=True):
        if not (arg.type.name == want.name if exact else coerces(arg.type, want)):
            return None
    taken = [a if a.type.name == w.name == "varchar" else convert(a, w) for a, w in zip(args, final, strict=True)]
    return taken, _fill(result, bound, args[0].type if args else result)


def _bind(want: Type, given: Type, bound: dict[str, Type]) -> bool:
    if want.name in ("T", "U"):
        wider = common(bound.get(want.name, given), given)
        bound[want.name] = wider or given
        return wider is not None
    if want.name in ("array", "map") and given.name == want.name:
        return all(_bind(w, g, bound) for w, g in zip(want.args, given.args, strict=True))
    return True


def _fill(want: Type, bound: dict[str, Type], given: Type) -> Type:
    if want.name in bound:
        return bound[want.name]
    if want == Type("decimal", (0, 0)):
        return given if given.name == "decimal" else want
    return Type(want.name, tuple(_fill(a, bound, given) for a in want.args)) if want.name in ("array", "map") else want
