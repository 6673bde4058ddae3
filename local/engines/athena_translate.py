"""Expressions of Athena's SQL, from sqlglot's tree to DuckDB with their types. What is not known here is refused."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from sqlglot import exp

from local.engines import athena_functions as functions
from local.engines.athena_expr import Ex, Position, arithmetic, cast, compare, convert, together
from local.engines.athena_functions import Call
from local.engines.athena_scope import Query, Scope, dereference, number, string, trino_type
from local.engines.athena_types import (
    BOOLEAN,
    DATE,
    DAYS,
    INSTANT,
    MONTHS,
    TIMESTAMP,
    UNKNOWN,
    VARBINARY,
    VARCHAR,
    AthenaError,
    Type,
    array,
    text,
    unsupported,
)

_ARITHMETIC = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/", exp.Mod: "%"}
_COMPARISONS = {
    exp.EQ: "=", exp.NEQ: "<>", exp.GT: ">", exp.GTE: ">=", exp.LT: "<", exp.LTE: "<=",
    exp.NullSafeEQ: "IS NOT DISTINCT FROM", exp.NullSafeNEQ: "IS DISTINCT FROM",
}  # fmt: skip
_DAY_UNITS = ("second", "minute", "hour", "day", "week")


class Expressions:
    """Translates expressions; ``query`` is the other half (athena_query)."""

    def __init__(self, sql: str) -> None:
        self._source = sql
        self._names = itertools.count()
        self._handlers: dict[type, Callable[[Any, Scope], Ex]] = {
            exp.Literal: lambda n, s: string(n.this) if n.is_string else number(n.this),
            exp.Boolean: lambda n, s: Ex("TRUE" if n.this else "FALSE", BOOLEAN, bool(n.this)),
            exp.Null: lambda n, s: Ex("NULL", UNKNOWN),
            exp.Paren: lambda n, s: self._paren(n, s),
            exp.Column: lambda n, s: self._name([p.name for p in n.parts], n, s),
            exp.Identifier: lambda n, s: self._name([n.name], n, s),
            exp.Dot: self._dot,
            exp.Neg: self._negative,
            exp.Not: lambda n, s: Ex(f"(NOT {self.condition(n.this, s, 'NOT').sql})", BOOLEAN),
            exp.And: lambda n, s: self._logical("AND", n, s),
            exp.Or: lambda n, s: self._logical("OR", n, s),
            exp.Is: self._is,
            exp.In: self._in,
            exp.Between: self._between,
            exp.Like: lambda n, s: self._like(n, s, None),
            exp.Escape: lambda n, s: self._like(n.this, s, n.expression),
            exp.Case: self._case,
            exp.If: self._if,
            exp.Cast: self._cast,
            exp.TryCast: self._cast,
            exp.Interval: self._interval,
            exp.Array: self._array,
            exp.Bracket: self._bracket,
            exp.Anonymous: self._function,
            exp.Filter: lambda n, s: self._aggregate(n, s),
            exp.Window: lambda n, s: self._window(n, s),
            exp.GroupConcat: self._listagg,
            exp.Exists: lambda n, s: Ex(f"EXISTS ({self.query(n.this, s).sql})", BOOLEAN),
            exp.Subquery: self._scalar_query,
            exp.DPipe: lambda n, s: functions.concat([self.expr(n.left, s), self.expr(n.right, s)], self._call("concat", n, s)),
            exp.AtTimeZone: lambda n, s: functions.at_zone(self.expr(n.this, s), self.expr(n.args["zone"], s).literal, self.at(n)),
            exp.Extract: lambda n, s: functions.extract(n.name.lower(), self.expr(n.expression, s), self._call("extract", n, s)),
            exp.Trim: self._trim,
            exp.Substring: lambda n, s: self._call_of("substr", [n.this, n.args.get("start"), n.args.get("length")], n, s),
            exp.StrPosition: lambda n, s: self._call_of("strpos", [n.this, n.args["substr"]], n, s),
            exp.CurrentDate: lambda n, s: Ex("CAST(timezone('UTC', now()) AS DATE)", DATE),
            exp.CurrentTimestamp: lambda n, s: Ex("date_trunc('millisecond', now())", INSTANT),
            exp.Localtimestamp: lambda n, s: Ex("date_trunc('millisecond', timezone('UTC', now()))", TIMESTAMP),
            exp.HexString: lambda n, s: Ex(f"unhex({text(n.name)})", VARBINARY),
            exp.Tuple: lambda n, s: self._call_of("row", n.expressions, n, s),
        }

    def query(self, node: exp.Expression, parent: Scope) -> Query:
        raise NotImplementedError

    def at(self, node: exp.Expression) -> Position:
        """Line and column where the node begins, if sqlglot knows."""
        found = [n.meta["start"] for n in node.walk() if "start" in n.meta]
        if not found:
            return None
        before = self._source[: min(found)]
        return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1

    def expr(self, node: exp.Expression, scope: Scope) -> Ex:
        """Any expression. Raises AthenaError: unknown names, wrong types, what the laptop does not translate."""
        for kind, sign in _ARITHMETIC.items():
            if type(node) is kind:
                return arithmetic(sign, self.expr(node.left, scope), self.expr(node.right, scope), self.at(node))
        for kind, sign in _COMPARISONS.items():
            if type(node) is kind:
                return self._compare(sign, node, scope)
        handler = self._handlers.get(type(node))
        if handler is None:
            raise unsupported(f"'{node.sql(dialect='trino')}'", self.at(node))
        return handler(node, scope)

    def condition(self, node: exp.Expression, scope: Scope, where: str) -> Ex:
        """An expression that has to be boolean."""
        ex = self.expr(node, scope)
        if ex.type not in (BOOLEAN, UNKNOWN):
            raise AthenaError("TYPE_MISMATCH", f"{where} clause must evaluate to a boolean: actual type {ex.type}", self.at(node))
        return ex

    # Names ----------------------------------------------------------------------------------------------------------------

    def _name(self, names: list[str], node: exp.Expression, scope: Scope) -> Ex:
        parts = [n.lower() for n in names]
        if parts[0] in scope.variables:
            ex = scope.variables[parts[0]]
            for step in parts[1:]:
                ex = dereference(ex, step, self.at(node))
            return ex
        found = scope.find(parts, self.at(node))
        if found is None:
            raise scope.unknown(parts, self.at(node))
        return found

    def _dot(self, node: exp.Dot, scope: Scope) -> Ex:
        names: list[str] = []
        base: exp.Expression = node
        while isinstance(base, exp.Dot) and isinstance(base.expression, exp.Identifier):
            names.insert(0, base.expression.name)
            base = base.this
        if isinstance(base, exp.Column | exp.Identifier):
            start = [p.name for p in base.parts] if isinstance(base, exp.Column) else [base.name]
            return self._name(start + names, node, scope)
        if isinstance(base, exp.Dot):
            raise unsupported(f"'{node.sql(dialect='trino')}'", self.at(node))
        ex = self.expr(base, scope)
        for name in names:
            ex = dereference(ex, name, self.at(node))
        return ex

    # Logic ----------------------------------------------------------------------------------------------------------------

    def _paren(self, node: exp.Paren, scope: Scope) -> Ex:
        ex = self.expr(node.this, scope)
        return Ex(f"({ex.sql})", ex.type, ex.literal, ex.position)

    def _logical(self, word: str, node: exp.Connector, scope: Scope) -> Ex:
        parts = [self.condition(part, scope, f"Logical expression {word}") for part in node.flatten()]
        return Ex("(" + f" {word} ".join(p.sql for p in parts) + ")", BOOLEAN)

    def _negative(self, node: exp.Neg, scope: Scope) -> Ex:
        ex = self.expr(node.this, scope)
        if not ex.type.number and ex.type not in (DAYS, MONTHS):
            raise AthenaError("TYPE_MISMATCH", f"Cannot negate {ex.type}", self.at(node))
        return Ex(f"(-{ex.sql})", ex.type, -ex.literal if isinstance(ex.literal, int | float) else None)

    def _compare(self, sign: str, node: exp.Binary, scope: Scope) -> Ex:
        right = node.right
        if isinstance(right, exp.Anonymous) and right.name.lower() in ("all", "any", "some"):
            # As sqlglot leaves ALL (VALUES ...) when functions are left as written.
            right = (exp.All if right.name.lower() == "all" else exp.Any)(this=right.expressions[0])
        if isinstance(right, exp.All | exp.Any):
            inner = right.this.this if isinstance(right.this, exp.Subquery) else right.this
            query, left = self.query(inner, scope), self.expr(node.left, scope)
            compare(sign, left, Ex("NULL", query.columns[0][1]), self.at(node))
            return Ex(f"({left.sql} {sign} {'ALL' if isinstance(right, exp.All) else 'ANY'} ({query.sql}))", BOOLEAN)
        return compare(sign, self.expr(node.left, scope), self.expr(right, scope), self.at(node))

    def _is(self, node: exp.Is, scope: Scope) -> Ex:
        if isinstance(node.expression, exp.Null):
            return Ex(f"({self.expr(node.this, scope).sql} IS NULL)", BOOLEAN)
        raise unsupported(f"'{node.sql(dialect='trino')}'", self.at(node))

    def _in(self, node: exp.In, scope: Scope) -> Ex:
        left = self.expr(node.this, scope)
        if query := node.args.get("query"):
            inner = self.query(query, scope)
            if len(inner.columns) != 1:
                raise AthenaError("TYPE_MISMATCH", "Subquery of IN must return one column", self.at(node))
            compare("IN", left, Ex("NULL", inner.columns[0][1]), self.at(node))
            return Ex(f"({left.sql} IN ({inner.sql}))", BOOLEAN)
        items = [self.expr(i, scope) for i in node.expressions]
        if not items:
            raise unsupported(f"'{node.sql(dialect='trino')}'", self.at(node))
        for item in items:
            compare("IN", left, item, item.position or self.at(node))
        left, *items = together([left, *items], "IN value and list items must be the same type")
        return Ex(f"({left.sql} IN ({', '.join(i.sql for i in items)}))", BOOLEAN)

    def _between(self, node: exp.Between, scope: Scope) -> Ex:
        value = self.expr(node.this, scope)
        low = compare(">=", value, self.expr(node.args["low"], scope), self.at(node))
        high = compare("<=", value, self.expr(node.args["high"], scope), self.at(node))
        return Ex(f"({low.sql} AND {high.sql})", BOOLEAN)

    def _like(self, node: exp.Like, scope: Scope, escape: exp.Expression | None) -> Ex:
        value, pattern = self.expr(node.this, scope), self.expr(node.expression, scope)
        for ex in (value, pattern):
            if ex.type.name not in ("varchar", "char", "unknown"):
                raise AthenaError("TYPE_MISMATCH", f"Left and right side of LIKE must be varchar, not {ex.type}", self.at(node))
        tail = f" ESCAPE {self.expr(escape, scope).sql}" if escape else ""
        return Ex(f"({value.sql} LIKE {pattern.sql}{tail})", BOOLEAN)

    def _case(self, node: exp.Case, scope: Scope) -> Ex:
        subject = self.expr(node.this, scope) if node.this else None
        tests = []
        for branch in node.args["ifs"]:
            if subject:
                tests.append(compare("=", subject, self.expr(branch.this, scope), self.at(branch)).sql)
            else:
                tests.append(self.condition(branch.this, scope, "CASE WHEN").sql)
        values = [self.expr(b.args["true"], scope) for b in node.args["ifs"]]
        values.append(self.expr(node.args["default"], scope) if node.args.get("default") else Ex("NULL", UNKNOWN))
        values = together(values, "All CASE results must be the same type")
        branches = "".join(f" WHEN {t} THEN {v.sql}" for t, v in zip(tests, values[:-1], strict=True))
        return Ex(f"CASE{branches} ELSE {values[-1].sql} END", values[0].type)

    def _if(self, node: exp.If, scope: Scope) -> Ex:
        otherwise = self.expr(node.args["false"], scope) if node.args.get("false") else Ex("NULL", UNKNOWN)
        values = together([self.expr(node.args["true"], scope), otherwise], "Result types for IF must be the same")
        test = self.condition(node.this, scope, "IF")
        return Ex(f"CASE WHEN {test.sql} THEN {values[0].sql} ELSE {values[1].sql} END", values[0].type)

    def _scalar_query(self, node: exp.Subquery, scope: Scope) -> Ex:
        query = self.query(node.this, scope)
        if len(query.columns) != 1:
            raise AthenaError("TYPE_MISMATCH", "Scalar subquery must return one column", self.at(node))
        return Ex(f"({query.sql})", query.columns[0][1])

    # Values ---------------------------------------------------------------------------------------------------------------

    def _cast(self, node: exp.Cast, scope: Scope) -> Ex:
        to, ex = trino_type(node.to, self.at(node)), self.expr(node.this, scope)
        if to.name == "timestamp with time zone" and isinstance(ex.literal, str) and " " in ex.literal.strip()[10:].strip():
            clock, zone = ex.literal.rsplit(" ", 1)
            shown = functions.at_zone(Ex("NULL", UNKNOWN), zone, self.at(node)).type
            return Ex(f"timezone({text(shown.zone)}, CAST({text(clock)} AS TIMESTAMP))", shown)
        if to.name == "decimal" and isinstance(ex.literal, str) and not node.to.expressions:
            return number(ex.literal)
        return cast(ex, to, isinstance(node, exp.TryCast), self.at(node))

    def _interval(self, node: exp.Interval, scope: Scope) -> Ex:
        value, unit = node.this, node.args.get("unit")
        sign = "-" if isinstance(value, exp.Neg) else ""
        amount = value.this.name if sign else value.name
        name = unit.name.lower() if isinstance(unit, exp.Var) else ""
        if not amount.lstrip("-").isdigit() or name not in (*_DAY_UNITS, "month", "year"):
            raise unsupported(f"'{node.sql(dialect='trino')}'", self.at(node))
        return Ex(f"INTERVAL ({sign}{amount}) {name.upper()}", DAYS if name in _DAY_UNITS else MONTHS)

    def _array(self, node: exp.Array, scope: Scope) -> Ex:
        items = [self.expr(i, scope) for i in node.expressions]
        if not items:
            return Ex("[]", array(UNKNOWN))
        items = together(items, "All ARRAY elements must be the same type")
        return Ex("[" + ", ".join(i.sql for i in items) + "]", array(items[0].type))

    def _bracket(self, node: exp.Bracket, scope: Scope) -> Ex:
        if len(node.expressions) != 1:
            raise unsupported(f"'{node.sql(dialect='trino')}'", self.at(node))
        base, index = self.expr(node.this, scope), self.expr(node.expressions[0], scope)
        return functions.subscript(base, index, self._call("[]", node, scope))

    def _trim(self, node: exp.Trim, scope: Scope) -> Ex:
        name = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(node.text("position").upper(), "trim")
        return self._call_of(name, [node.this, node.expression or None], node, scope)

    # Functions ------------------------------------------------------------------------------------------------------------

    def _call(self, name: str, node: exp.Expression, scope: Scope, nodes: list[Any] | None = None) -> Call:
        nodes = nodes or []
        args = [self.expr(n, scope) for n in nodes if not isinstance(n, exp.Lambda)]
        return Call(name, args, nodes, self.at(node), lambda n, kinds: self._lambda(n, kinds, scope))

    def _call_of(self, name: str, nodes: list[Any], node: exp.Expression, scope: Scope) -> Ex:
        return functions.scalar(self._call(name, node, scope, [n for n in nodes if n is not None]))

    def _function(self, node: exp.Anonymous, scope: Scope) -> Ex:
        name = node.name.lower()
        if name in functions.AGGREGATES:
            return self._aggregate(node, scope)
        if name in functions.WINDOWS:
            raise AthenaError("MISSING_OVER", f"Window function {name} requires an OVER clause", self.at(node))
        if name in functions.LAMBDAS:
            return functions.LAMBDAS[name](self._call(name, node, scope, node.expressions))
        if any(isinstance(n, exp.Lambda | exp.Star | exp.Distinct | exp.Order) for n in node.expressions):
            raise unsupported(f"'{node.sql(dialect='trino')}'", self.at(node))
        return functions.scalar(self._call(name, node, scope, node.expressions))

    def _lambda(self, node: Any, kinds: list[Type], scope: Scope) -> Ex:
        if not isinstance(node, exp.Lambda) or len(node.expressions) != len(kinds):
            raise AthenaError("FUNCTION_NOT_FOUND", "A lambda with other arguments was expected", None)
        names = [f"v{next(self._names)}" for _ in kinds]
        variables = {i.name.lower(): Ex(n, k) for i, n, k in zip(node.expressions, names, kinds, strict=True)}
        body = self.expr(node.this, scope.inside(variables))
        return Ex(f"lambda {', '.join(names)}: {body.sql}", body.type)

    def _aggregate(self, node: exp.Expression, scope: Scope, over: str = "") -> Ex:
        """An aggregate or window function with its DISTINCT, ORDER BY, FILTER, IGNORE NULLS and OVER."""
        tail, nulls, call = "", "", node
        if isinstance(call, exp.Filter):
            tail = f" FILTER (WHERE {self.condition(call.expression.this, scope, 'FILTER').sql})"
            call = call.this
        if isinstance(call, exp.IgnoreNulls | exp.RespectNulls):
            nulls = " IGNORE NULLS" if isinstance(call, exp.IgnoreNulls) else ""
            call = call.this
        name = call.name.lower() if isinstance(call, exp.Anonymous) else ""
        if isinstance(call, exp.GroupConcat):
            return self._listagg(call, scope, tail)
        if name not in functions.AGGREGATES and not (over and name in functions.WINDOWS):
            if isinstance(call, exp.Anonymous) and not over and not tail:
                raise unsupported(f"'{node.sql(dialect='trino')}'", self.at(node))
            self._function(call, scope) if isinstance(call, exp.Anonymous) else None
            raise AthenaError("FUNCTION_NOT_AGGREGATE", f"'{name}' is not an aggregate or window function", self.at(node))
        nodes, order, distinct = list(call.expressions), "", False
        if nodes and isinstance(nodes[0], exp.Distinct):
            nodes, distinct = list(nodes[0].expressions), True
        if nodes and isinstance(nodes[-1], exp.Order):
            order = " " + self.order(nodes[-1], scope)
            nodes[-1] = nodes[-1].this
            if isinstance(nodes[-1], exp.Distinct):
                nodes, distinct = list(nodes[-1].expressions), True
        nodes = [n for n in nodes if not isinstance(n, exp.Star)]
        described = self._call(name, call, scope, nodes)
        made = functions.window(described) if name in functions.WINDOWS else functions.aggregate(described)
        word = "DISTINCT " if distinct or made.distinct else ""
        core = f"{made.name}({word}{', '.join(made.args)}{order}{nulls}){tail}{over}"
        return Ex(made.post.replace("{}", core), made.type)

    def _listagg(self, node: exp.GroupConcat, scope: Scope, tail: str = "") -> Ex:
        ordered, separator = node.this, node.args.get("separator")
        order = " " + self.order(ordered, scope) if isinstance(ordered, exp.Order) else ""
        value = self.expr(ordered.this if order else ordered, scope)
        if value.type.name != "varchar":
            raise AthenaError("FUNCTION_NOT_FOUND", f"Unexpected parameters ({value.type}) for function listagg", self.at(node))
        between = self.expr(separator, scope).sql if separator else "''"
        return Ex(f"string_agg({value.sql}, {between}{order}){tail}", VARCHAR)

    def order(self, node: exp.Order, scope: Scope) -> str:
        """ORDER BY inside an aggregate or a window; NULLs last unless told otherwise."""
        parts = []
        for item in node.expressions:
            nulls = "FIRST" if item.args.get("nulls_first") else "LAST"
            parts.append(f"{self.expr(item.this, scope).sql} {'DESC' if item.args.get('desc') else 'ASC'} NULLS {nulls}")
        return "ORDER BY " + ", ".join(parts)

    def _window(self, node: exp.Window, scope: Scope) -> Ex:
        return self._aggregate(node.this, scope, f" OVER ({self._frame(node, scope)})")

    def _frame(self, node: exp.Window, scope: Scope) -> str:
        if name := node.text("alias").lower():
            if name not in scope.windows:
                raise AthenaError("INVALID_WINDOW_REFERENCE", f"Cannot resolve WINDOW name {name}", self.at(node))
            return self._frame(scope.windows[name], scope)
        parts = []
        if partition := node.args.get("partition_by"):
            parts.append("PARTITION BY " + ", ".join(self.expr(p, scope).sql for p in partition))
        if ordering := node.args.get("order"):
            parts.append(self.order(ordering, scope))
        if spec := node.args.get("spec"):
            start, end = (self._bound(spec, side, scope) for side in ("start", "end"))
            parts.append(f"{spec.args['kind']} BETWEEN {start} AND {end or 'CURRENT ROW'}")
        return " ".join(parts)

    def _bound(self, spec: exp.WindowSpec, side: str, scope: Scope) -> str:
        value, direction = spec.args.get(side), spec.args.get(f"{side}_side") or ""
        if isinstance(value, exp.Expression):
            return f"{convert(self.expr(value, scope), self.expr(value, scope).type).sql} {direction}"
        return f"{value} {direction}".strip() if value else ""
