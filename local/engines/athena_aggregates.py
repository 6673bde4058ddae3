"""Aggregate and window functions: DuckDB's name for each, and the type that Trino gives the result."""

from __future__ import annotations

from dataclasses import dataclass

from local.engines.athena_calls import Call
from local.engines.athena_expr import convert, together
from local.engines.athena_types import BIGINT, BOOLEAN, DOUBLE, REAL, Type, array, coerces, decimal_type, duck, unsupported


@dataclass(frozen=True)
class Aggregate:
    """DuckDB function, its arguments, the type, and what is made of its result ({}: the result, after FILTER and OVER)."""

    name: str
    args: list[str]
    type: Type
    post: str = "{}"
    distinct: bool = False


_DOUBLES = {
    "stddev": 1, "stddev_samp": 1, "stddev_pop": 1, "variance": 1, "var_samp": 1, "var_pop": 1, "corr": 2, "covar_samp": 2,
    "covar_pop": 2, "regr_slope": 2, "regr_intercept": 2, "geometric_mean": 1,
}  # fmt: skip
AGGREGATES = {
    *_DOUBLES, "count", "sum", "avg", "min", "max", "min_by", "max_by", "count_if", "approx_distinct", "approx_percentile",
    "array_agg", "arbitrary", "any_value", "bool_and", "every", "bool_or", "histogram", "bitwise_and_agg", "bitwise_or_agg",
}  # fmt: skip
_RANKS = {"row_number", "rank", "dense_rank", "ntile", "percent_rank", "cume_dist"}
WINDOWS = _RANKS | {"lag", "lead", "first_value", "last_value", "nth_value"}


def aggregate(call: Call) -> Aggregate:
    """An aggregate with Trino's result type. Raises FUNCTION_NOT_FOUND."""
    args, name = call.args, call.name
    sqls = [a.sql for a in args]
    if name == "count":
        return Aggregate("count", sqls or ["*"], BIGINT)
    if not args:
        raise call.wrong()
    kind = args[0].type
    if name in _DOUBLES:
        if len(args) != _DOUBLES[name] or not all(coerces(a.type, DOUBLE) for a in args):
            raise call.wrong()
        return Aggregate(name, [convert(a, DOUBLE).sql for a in args], DOUBLE)
    if name in ("sum", "avg"):
        return _sum(call)
    if name in ("min", "max"):
        call.count(1, 2)
        return Aggregate(name, sqls, array(kind) if len(args) == 2 else kind)
    if name in ("min_by", "max_by"):
        call.count(2)
        return Aggregate(f"arg_{name[:3]}_null", sqls, kind)
    if name == "count_if":
        call.count(1)
        return Aggregate("count_if", sqls, BIGINT, "CAST({} AS BIGINT)")
    if name == "approx_distinct":
        return Aggregate("count", sqls[:1], BIGINT, distinct=True)
    if name == "approx_percentile":
        return _percentile(call)
    call.count(1)
    if name == "array_agg":
        return Aggregate("array_agg", sqls, array(kind))
    if name in ("arbitrary", "any_value"):
        return Aggregate("any_value", sqls, kind)
    if name in ("bool_and", "every", "bool_or"):
        return Aggregate("bool_or" if name == "bool_or" else "bool_and", sqls, BOOLEAN)
    if name == "histogram":
        result = Type("map", (kind, BIGINT))
        return Aggregate("histogram", sqls, result, f"CAST({{}} AS {duck(result)})")
    return Aggregate("bit_and" if name == "bitwise_and_agg" else "bit_or", [convert(args[0], BIGINT).sql], BIGINT)


def _sum(call: Call) -> Aggregate:
    call.count(1)
    ex, kind = call.args[0], call.args[0].type
    if kind.whole:
        return (
            Aggregate("sum", [ex.sql], BIGINT, "CAST({} AS BIGINT)") if call.name == "sum" else Aggregate("avg", [ex.sql], DOUBLE)
        )
    if kind.name == "decimal":
        result = decimal_type(38, kind.args[1]) if call.name == "sum" else kind
        return Aggregate(call.name, [ex.sql], result, f"CAST({{}} AS {duck(result)})")
    if kind not in (DOUBLE, REAL):
        raise call.wrong()
    return Aggregate(call.name, [ex.sql], kind, f"CAST({{}} AS {duck(kind)})")


def _percentile(call: Call) -> Aggregate:
    """Exact where Athena approximates: the interpolated quantile, rounded for whole numbers."""
    if len(call.args) != 2:
        raise unsupported("approx_percentile with weights", call.position)
    ex, share = call.args
    if not ex.type.number or not (share.type.number or share.type.name == "array"):
        raise call.wrong()
    kind = ex.type if ex.type.whole or ex.type == REAL else DOUBLE
    values = f"CAST({ex.sql} AS DOUBLE)"
    if share.type.name == "array":
        rounded = "round(q)" if kind.whole else "q"
        post = f"list_transform({{}}, lambda q: CAST({rounded} AS {duck(kind)}))"
        return Aggregate("quantile_cont", [values, f"CAST({share.sql} AS DOUBLE[])"], array(kind), post)
    post = f"CAST({'round({})' if kind.whole else '{}'} AS {duck(kind)})"
    return Aggregate("quantile_cont", [values, f"CAST({share.sql} AS DOUBLE)"], kind, post)


def window(call: Call) -> Aggregate:
    """A ranking or value function of a window."""
    args, name = call.args, call.name
    if name in _RANKS:
        call.count(1 if name == "ntile" else 0)
        return Aggregate(name, [a.sql for a in args], DOUBLE if name in ("percent_rank", "cume_dist") else BIGINT)
    call.count(2 if name == "nth_value" else 1, 3 if name in ("lag", "lead") else 2 if name == "nth_value" else 1)
    sqls = [a.sql for a in args]
    if len(args) == 3:
        both = together([args[0], args[2]], name)
        return Aggregate(name, [both[0].sql, sqls[1], both[1].sql], both[0].type)
    return Aggregate(name, sqls, args[0].type)
