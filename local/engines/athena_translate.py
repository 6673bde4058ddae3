"""Expressions of Athena's SQL, from sqlglot's tree to DuckDB with their types. What is not known here is refused."""

from __future__ import annotations

import itertools

from sqlglot import exp

from local.engines.athena_casts import cast
from local.engines.athena_expr import Ex, Position, arithmetic, compare, together
from local.engines.athena_scope import Query, Scope, dereference, number, string, trino_type
from local.engines.athena_times import at_zone
from local.engines.athena_types import (
    BOOLEAN,
    DATE,
    DAYS,
    INSTANT,
    MONTHS,
    TIMESTAMP,
    UNKNOWN,
    VARBINARY,
    AthenaError,
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

    def query(self, node: exp.Expr, parent: Scope) -> Query:
        raise NotImplementedError

    def at(self, node: exp.Expr) -> Position:
        """Line and column where the node begins, if sqlglot knows."""
        found = [n.meta["start"] for n in node.walk() if "start" in n.meta]
        if not found:
            return None
        before = self._source[: min(found)]
        return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1

    def expr(self, node: exp.Expr, scope: Scope) -> Ex:
        """Any expression. Raises AthenaError: unknown names, wrong types, what the laptop does not translate."""
        for kind, sign in _ARITHMETIC.items():
            if type(node) is kind:
                return arithmetic(sign, self.expr(node.left, scope), self.expr(node.right, scope), self.at(node))
        for kind, sign in _COMPARISONS.items():
            if type(node) is kind:
                return self._compare(sign, node, scope)
        handler = getattr(self, f"_on_{node.key}", None)
        if handler is None:
            raise unsupported(f"'{node.sql(dialect='trino')}'", self.at(node))
        translated: Ex = handler(node, scope)
        return translated

    def condition(self, node: exp.Expr, scope: Scope, where: str) -> Ex:
        """An expression that has to be boolean."""
        ex = self.expr(node, scope)
        if ex.type not in (BOOLEAN, UNKNOWN):
            raise AthenaError("TYPE_MISMATCH", f"{where} clause must evaluate to a boolean: actual type {ex.type}", self.at(node))
        return ex

    # Literals and the present ---------------------------------------------------------------------------------------------

    def _on_literal(self, node: exp.Literal, _scope: Scope) -> Ex:
        return string(node.this) if node.is_string else number(node.this)

    def _on_boolean(self, node: exp.Boolean, _scope: Scope) -> Ex:
        return Ex("TRUE" if node.this else "FALSE", BOOLEAN, bool(node.this))

    def _on_null(self, _node: exp.Null, _scope: Scope) -> Ex:
        return Ex("NULL", UNKNOWN)

    def _on_hexstring(self, node: exp.HexString, _scope: Scope) -> Ex:
        return Ex(f"unhex({text(node.name)})", VARBINARY)

    def _on_currentdate(self, _node: exp.CurrentDate, _scope: Scope) -> Ex:
        return Ex("CAST(timezone('UTC', now()) AS DATE)", DATE)

    def _on_currenttimestamp(self, _node: exp.CurrentTimestamp, _scope: Scope) -> Ex:
        return Ex("date_trunc('millisecond', now())", INSTANT)

    def _on_localtimestamp(self, _node: exp.Localtimestamp, _scope: Scope) -> Ex:
        return Ex("date_trunc('millisecond', timezone('UTC', now()))", TIMESTAMP)

    # Names ----------------------------------------------------------------------------------------------------------------

    def _on_column(self, node: exp.Column, scope: Scope) -> Ex:
        return self._name([part.name for part in node.parts], node, scope)

    def _on_identifier(self, node: exp.Identifier, scope: Scope) -> Ex:
        return self._name([node.name], node, scope)

    def _name(self, names: list[str], node: exp.Expr, scope: Scope) -> Ex:
        parts = [n.lower() for n in names]
        ex = scope.variables.get(parts[0])
        if ex is not None and (len(parts) == 1 or ex.type.name == "row"):
            for step in parts[1:]:
                ex = dereference(ex, step, self.at(node))
            return ex
        found = scope.find(parts, self.at(node))
        if found is None:
            raise scope.unknown(parts, self.at(node))
        return found

    def _on_dot(self, node: exp.Dot, scope: Scope) -> Ex:
        names: list[str] = []
        base: exp.Expr = node
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

    def _on_paren(self, node: exp.Paren, scope: Scope) -> Ex:
        ex = self.expr(node.this, scope)
        return Ex(f"({ex.sql})", ex.type, ex.literal, ex.position)

    def _on_not(self, node: exp.Not, scope: Scope) -> Ex:
        return Ex(f"(NOT {self.condition(node.this, scope, 'NOT').sql})", BOOLEAN)

    def _on_and(self, node: exp.And, scope: Scope) -> Ex:
        return self._logical("AND", node, scope)

    def _on_or(self, node: exp.Or, scope: Scope) -> Ex:
        return self._logical("OR", node, scope)

    def _on_exists(self, node: exp.Exists, scope: Scope) -> Ex:
        return Ex(f"EXISTS ({self.query(node.this, scope).sql})", BOOLEAN)

    def _logical(self, word: str, node: exp.Connector, scope: Scope) -> Ex:
        parts = [self.condition(part, scope, f"Logical expression {word}") for part in node.flatten()]
        return Ex("(" + f" {word} ".join(p.sql for p in parts) + ")", BOOLEAN)

    def _on_neg(self, node: exp.Neg, scope: Scope) -> Ex:
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

    def _on_is(self, node: exp.Is, scope: Scope) -> Ex:
        if isinstance(node.expression, exp.Null):
            return Ex(f"({self.expr(node.this, scope).sql} IS NULL)", BOOLEAN)
        raise unsupported(f"'{node.sql(dialect='trino')}'", self.at(node))

    def _on_in(self, node: exp.In, scope: Scope) -> Ex:
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

    def _on_between(self, node: exp.Between, scope: Scope) -> Ex:
        value = self.expr(node.this, scope)
        low = compare(">=", value, self.expr(node.args["low"], scope), self.at(node))
        high = compare("<=", value, self.expr(node.args["high"], scope), self.at(node))
        return Ex(f"({low.sql} AND {high.sql})", BOOLEAN)

    def _on_like(self, node: exp.Like, scope: Scope) -> Ex:
        return self._like(node, scope, None)

    def _on_escape(self, node: exp.Escape, scope: Scope) -> Ex:
        return self._like(node.this, scope, node.expression)

    def _like(self, node: exp.Like, scope: Scope, escape: exp.Expr | None) -> Ex:
        value, pattern = self.expr(node.this, scope), self.expr(node.expression, scope)
        for ex in (value, pattern):
            if ex.type.name not in ("varchar", "char", "unknown"):
                raise AthenaError("TYPE_MISMATCH", f"Left and right side of LIKE must be varchar, not {ex.type}", self.at(node))
        tail = f" ESCAPE {self.expr(escape, scope).sql}" if escape else ""
        return Ex(f"({value.sql} LIKE {pattern.sql}{tail})", BOOLEAN)

    def _on_case(self, node: exp.Case, scope: Scope) -> Ex:
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

    def _on_if(self, node: exp.If, scope: Scope) -> Ex:
        otherwise = self.expr(node.args["false"], scope) if node.args.get("false") else Ex("NULL", UNKNOWN)
        values = together([self.expr(node.args["true"], scope), otherwise], "Result types for IF must be the same")
        test = self.condition(node.this, scope, "IF")
        return Ex(f"CASE WHEN {test.sql} THEN {values[0].sql} ELSE {values[1].sql} END", values[0].type)

    def _on_subquery(self, node: exp.Subquery, scope: Scope) -> Ex:
        query = self.query(node.this, scope)
        if len(query.columns) != 1:
            raise AthenaError("TYPE_MISMATCH", "Scalar subquery must return one column", self.at(node))
        return Ex(f"({query.sql})", query.columns[0][1])

    # Values ---------------------------------------------------------------------------------------------------------------

    def _on_cast(self, node: exp.Cast, scope: Scope) -> Ex:
        to, ex = trino_type(node.to, self.at(node)), self.expr(node.this, scope)
        if to.name == "timestamp with time zone" and isinstance(ex.literal, str) and " " in ex.literal.strip()[10:].strip():
            clock, zone = ex.literal.rsplit(" ", 1)
            shown = at_zone(Ex("NULL", UNKNOWN), zone, self.at(node)).type
            return Ex(f"timezone({text(shown.zone)}, CAST({text(clock)} AS TIMESTAMP))", shown)
        if to.name == "decimal" and isinstance(ex.literal, str) and not node.to.expressions:
            return number(ex.literal)
        return cast(ex, to, isinstance(node, exp.TryCast), self.at(node))

    def _on_trycast(self, node: exp.TryCast, scope: Scope) -> Ex:
        return self._on_cast(node, scope)

    def _on_interval(self, node: exp.Interval, _scope: Scope) -> Ex:
        value, unit = node.this, node.args.get("unit")
        sign = "-" if isinstance(value, exp.Neg) else ""
        amount = value.this.name if sign else value.name
        name = unit.name.lower() if isinstance(unit, exp.Var) else ""
        if not amount.lstrip("-").isdigit() or name not in (*_DAY_UNITS, "month", "year"):
            raise unsupported(f"'{node.sql(dialect='trino')}'", self.at(node))
        return Ex(f"INTERVAL ({sign}{amount}) {name.upper()}", DAYS if name in _DAY_UNITS else MONTHS)

    def _on_array(self, node: exp.Array, scope: Scope) -> Ex:
        items = [self.expr(i, scope) for i in node.expressions]
        if not items:
            return Ex("[]", array(UNKNOWN))
        items = together(items, "All ARRAY elements must be the same type")
        return Ex("[" + ", ".join(i.sql for i in items) + "]", array(items[0].type))
