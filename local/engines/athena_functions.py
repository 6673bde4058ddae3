"""Scalar functions of Athena's list. A name that is in no table is refused; DuckDB's own functions are never reached by name."""

from __future__ import annotations

import re

from local.engines import athena_collections, athena_times  # noqa: F401 (they fill the tables)
from local.engines.athena_calls import SPECIAL, Call, special
from local.engines.athena_expr import Ex, arithmetic, convert, together
from local.engines.athena_signatures import SIGNATURES, resolve
from local.engines.athena_types import VARCHAR, AthenaError, Type, array, decimal_type, duck, quote, row_fields, text, unsupported


def scalar(call: Call) -> Ex:
    """A scalar function call. Raises FUNCTION_NOT_FOUND, NOT_SUPPORTED."""
    if call.name in SPECIAL:
        return SPECIAL[call.name](call)
    return templated(call)


def templated(call: Call) -> Ex:
    """A call that a template of ``athena_signatures`` answers."""
    known = [s for s in SIGNATURES if s[0] == call.name]
    if not known:
        raise AthenaError("FUNCTION_NOT_FOUND", f"Function '{call.name}' not registered", call.position)
    for exact in (True, False):
        for _, signature, template in known:
            taken = resolve(signature, call.args, exact)
            if taken:
                sql = re.sub(r"\{(\d)\}", lambda m: taken[0][int(m[1])].sql, template)  # noqa: B023
                return Ex(f"({sql})", taken[1], position=call.position)
    raise call.wrong()


# Conditional ------------------------------------------------------------------------------------------------------------


@special("coalesce")
def _coalesce(call: Call) -> Ex:
    call.count(2, 99)
    items = together(call.args, "All COALESCE operands must be the same type")
    return Ex(f"coalesce({', '.join(i.sql for i in items)})", items[0].type)


@special("nullif")
def _nullif(call: Call) -> Ex:
    call.count(2)
    items = together(call.args, "Types are not comparable with NULLIF")
    return Ex(f"CASE WHEN {items[0].sql} = {items[1].sql} THEN NULL ELSE {call.args[0].sql} END", call.args[0].type)


@special("greatest", "least")
def _greatest(call: Call) -> Ex:
    """NULL if any argument is NULL; DuckDB leaves NULLs out."""
    call.count(1, 99)
    items = together(call.args, f"All arguments of {call.name} must be the same type")
    missing = " OR ".join(f"{i.sql} IS NULL" for i in items)
    return Ex(f"CASE WHEN {missing} THEN NULL ELSE {call.name}({', '.join(i.sql for i in items)}) END", items[0].type)


@special("try")
def _try(call: Call) -> Ex:
    call.count(1)
    return Ex(f"TRY({call.args[0].sql})", call.args[0].type)


@special("typeof")
def _typeof(call: Call) -> Ex:
    call.count(1)
    return Ex(text(str(call.args[0].type)), VARCHAR)


@special("row")
def _row(call: Call) -> Ex:
    call.count(1, 99)
    kind = Type("row", tuple((None, a.type) for a in call.args))
    fields = zip(row_fields(kind), call.args, strict=True)
    return Ex("struct_pack(" + ", ".join(f"{quote(n)} := {a.sql}" for (n, _), a in fields) + ")", kind)


# Mathematical -----------------------------------------------------------------------------------------------------------


@special("mod")
def _mod(call: Call) -> Ex:
    call.count(2)
    return arithmetic("%", call.args[0], call.args[1], call.position)


@special("round", "ceil", "ceiling", "floor")
def _round(call: Call) -> Ex:
    call.count(1, 2 if call.name == "round" else 1)
    kind = call.args[0].type
    if kind.name != "decimal":
        return templated(call)
    precision, scale = kind.args
    if len(call.args) == 2:
        result = decimal_type(precision + 1, scale)
        return Ex(f"CAST(round({call.args[0].sql}, {int(call.literal(1, 'number of digits'))}) AS {duck(result)})", result)
    result = decimal_type(precision - scale + min(1, scale), 0)
    name = "ceil" if call.name == "ceiling" else call.name
    return Ex(f"CAST({name}({call.args[0].sql}) AS {duck(result)})", result)


# Strings ----------------------------------------------------------------------------------------------------------------


@special("concat")
def _concat(call: Call) -> Ex:
    call.count(2, 99)
    return concat(call.args, call)


def concat(args: list[Ex], call: Call) -> Ex:
    """|| and concat: NULL if any part is NULL."""
    if all(a.type.name in ("varchar", "char", "unknown") for a in args):
        return Ex("(" + " || ".join(convert(a, VARCHAR).sql for a in args) + ")", VARCHAR)
    arrays = [a for a in args if a.type.name == "array"]
    if not arrays:
        raise call.wrong()
    items = [a if a.type.name == "array" else Ex(f"[{a.sql}]", array(a.type)) for a in args]
    items = together(items, "Arrays of different types")
    missing = " OR ".join(f"{i.sql} IS NULL" for i in items)
    return Ex(f"CASE WHEN {missing} THEN NULL ELSE list_concat({', '.join(i.sql for i in items)}) END", items[0].type)


@special("concat_ws")
def _concat_ws(call: Call) -> Ex:
    call.count(2, 99)
    if any(a.type.name not in ("varchar", "char", "unknown") for a in call.args):
        raise unsupported("concat_ws of arrays", call.position)
    return Ex(f"concat_ws({', '.join(a.sql for a in call.args)})", VARCHAR)


@special("regexp_replace")
def _regexp_replace(call: Call) -> Ex:
    call.count(2, 3)
    new = str(call.literal(2, "replacement")) if len(call.args) == 3 else ""
    new = re.sub(r"\\(.)|\$(\d)|\\\\", lambda m: f"\\{m[2]}" if m[2] else m[1].replace("\\", "\\\\"), new)
    return Ex(f"regexp_replace({call.args[0].sql}, {call.args[1].sql}, {text(new)}, 'g')", VARCHAR)
