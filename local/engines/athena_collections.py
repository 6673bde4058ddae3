"""Functions of arrays, maps and JSON, and those that take a lambda."""

from __future__ import annotations

from local.engines import athena_formats as formats
from local.engines.athena_calls import LAMBDAS, Call, special
from local.engines.athena_casts import as_text
from local.engines.athena_expr import Ex, convert, fails
from local.engines.athena_types import BIGINT, BOOLEAN, JSON, VARCHAR, Type, array, coerces, row_fields, text, unsupported


def subscript(base: Ex, index: Ex, call: Call) -> Ex:
    """base[index]: fails where element_at answers NULL."""
    if base.type.name == "row":
        if not isinstance(index.literal, int) or not 1 <= index.literal <= len(base.type.args):
            raise call.wrong()
        name, kind = row_fields(base.type)[index.literal - 1]
        return Ex(f"struct_extract({base.sql}, {text(name)})", kind)
    if base.type.name == "map":
        key = convert(index, base.type.args[0])
        missing = fails("INVALID_FUNCTION_ARGUMENT: Key not present in map: ", f"CAST({key.sql} AS VARCHAR)", base.type.args[1])
        found = f"list_contains(map_keys({base.sql}), {key.sql})"
        return Ex(f"CASE WHEN {found} THEN {base.sql}[{key.sql}] WHEN {base.sql} IS NOT NULL THEN {missing} END", base.type.args[1])
    if base.type.name != "array" or not index.type.whole:
        raise call.wrong()
    message = "INVALID_FUNCTION_ARGUMENT: Array subscript must be between 1 and the array length: "
    inside = f"{index.sql} BETWEEN 1 AND len({base.sql})"
    failing = fails(message, f"CAST({index.sql} AS VARCHAR)", BIGINT)
    guarded = f"CASE WHEN {inside} THEN {index.sql} WHEN {base.sql} IS NOT NULL THEN {failing} END"
    return Ex(f"({base.sql})[{guarded}]", base.type.args[0])


@special("element_at")
def _element_at(call: Call) -> Ex:
    call.count(2)
    base, index = call.args
    if base.type.name == "map":
        return Ex(f"{base.sql}[{convert(index, base.type.args[0]).sql}]", base.type.args[1])
    if base.type.name != "array" or not index.type.whole:
        raise call.wrong()
    failing = fails("INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1")
    return Ex(f"({base.sql})[CASE WHEN {index.sql} = 0 THEN {failing} ELSE {index.sql} END]", base.type.args[0])


@special("array_join")
def _array_join(call: Call) -> Ex:
    call.count(2, 3)
    if call.args[0].type.name != "array":
        raise call.wrong()
    element = as_text(Ex("element", call.args[0].type.args[0]), call.position).sql
    if len(call.args) == 3:
        element = f"coalesce({element}, {call.args[2].sql})"
    return Ex(f"array_to_string(list_transform({call.args[0].sql}, lambda element: {element}), {call.args[1].sql})", VARCHAR)


@special("json_extract", "json_extract_scalar")
def _json_extract(call: Call) -> Ex:
    call.count(2)
    source, path = call.args[0], text(formats.json_path(call.literal(1, "path")))
    if source.type.name not in ("json", "varchar"):
        raise call.wrong()
    guard = "" if source.type == JSON else f"WHEN NOT json_valid({source.sql}) THEN NULL "
    if call.name == "json_extract":
        return Ex(f"CASE {guard}WHEN {source.sql} IS NULL THEN NULL ELSE json_extract({source.sql}, {path}) END", JSON)
    nested = f"WHEN json_type({source.sql}, {path}) IN ('OBJECT', 'ARRAY') THEN NULL "
    return Ex(f"CASE {guard}{nested}ELSE json_extract_string({source.sql}, {path}) END", VARCHAR)


@special("transform", table=LAMBDAS)
def _transform(call: Call) -> Ex:
    item = call.lambda_(call.nodes[1], [_element(call)])
    return Ex(f"list_transform({call.args[0].sql}, {item.sql})", array(item.type))


@special("filter", table=LAMBDAS)
def _filter(call: Call) -> Ex:
    test = call.lambda_(call.nodes[1], [_element(call)])
    return Ex(f"list_filter({call.args[0].sql}, {test.sql})", call.args[0].type)


@special("any_match", "all_match", "none_match", table=LAMBDAS)
def _match(call: Call) -> Ex:
    test = call.lambda_(call.nodes[1], [_element(call)])
    results = f"list_transform({call.args[0].sql}, {test.sql})"
    any_ = call.name != "all_match"
    sql = f"CASE WHEN len({call.args[0].sql}) = 0 THEN {not any_} ELSE {'list_bool_or' if any_ else 'list_bool_and'}({results}) END"
    return Ex(f"(NOT ({sql}))" if call.name == "none_match" else f"({sql})", BOOLEAN)


@special("reduce", table=LAMBDAS)
def _reduce(call: Call) -> Ex:
    if len(call.nodes) != 4:
        raise call.wrong()
    start, element = call.args[1], _element(call)
    step = call.lambda_(call.nodes[2], [start.type, element])
    state = step.type
    if not coerces(start.type, state) or not coerces(element, state):
        raise unsupported("reduce with a state of another type than the elements", call.position)
    step = call.lambda_(call.nodes[2], [state, state])
    items = convert(call.args[0], array(state)).sql
    last = call.lambda_(call.nodes[3], [state])
    total = f"list_reduce({items}, {step.sql}, {convert(start, state).sql})"
    return Ex(f"list_transform([{total}], {last.sql})[1]", last.type)


def _element(call: Call) -> Type:
    if not call.args or call.args[0].type.name != "array":
        raise call.wrong()
    element = call.args[0].type.args[0]
    assert isinstance(element, Type)
    return element
