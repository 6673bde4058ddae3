"""Calls in a query: scalar functions, lambdas, aggregates with FILTER and ORDER BY, window functions."""

from __future__ import annotations

from typing import Any

from sqlglot import exp

from local.engines.athena_aggregates import AGGREGATES, WINDOWS, aggregate, window
from local.engines.athena_calls import LAMBDAS, Call
from local.engines.athena_collections import subscript
from local.engines.athena_expr import Ex
from local.engines.athena_functions import concat, scalar
from local.engines.athena_refused import TRINO_ONLY
from local.engines.athena_scope import Scope
from local.engines.athena_times import at_zone, extract
from local.engines.athena_translate import Expressions
from local.engines.athena_types import VARCHAR, AthenaError, Type, unsupported


class Invocations(Expressions):
    """Translates calls; ``query`` is in athena_query."""

    def _on_dpipe(self, node: exp.DPipe, scope: Scope) -> Ex:
        return concat([self.expr(node.left, scope), self.expr(node.right, scope)], self._call("concat", node, scope))

    def _on_attimezone(self, node: exp.AtTimeZone, scope: Scope) -> Ex:
        return at_zone(self.expr(node.this, scope), self.expr(node.args["zone"], scope).literal, self.at(node))

    def _on_extract(self, node: exp.Extract, scope: Scope) -> Ex:
        return extract(node.name.lower(), self.expr(node.expression, scope), self._call("extract", node, scope))

    def _on_substring(self, node: exp.Substring, scope: Scope) -> Ex:
        return self._call_of("substr", [node.this, node.args.get("start"), node.args.get("length")], node, scope)

    def _on_strposition(self, node: exp.StrPosition, scope: Scope) -> Ex:
        return self._call_of("strpos", [node.this, node.args["substr"]], node, scope)

    def _on_tuple(self, node: exp.Tuple, scope: Scope) -> Ex:
        return self._call_of("row", node.expressions, node, scope)

    def _on_filter(self, node: exp.Filter, scope: Scope) -> Ex:
        return self._aggregate(node, scope)

    def _on_bracket(self, node: exp.Bracket, scope: Scope) -> Ex:
        if len(node.expressions) != 1:
            raise unsupported(f"'{node.sql(dialect='trino')}'", self.at(node))
        base, index = self.expr(node.this, scope), self.expr(node.expressions[0], scope)
        return subscript(base, index, self._call("[]", node, scope))

    def _on_trim(self, node: exp.Trim, scope: Scope) -> Ex:
        name = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(node.text("position").upper(), "trim")
        return self._call_of(name, [node.this, node.expression or None], node, scope)

    def _call(self, name: str, node: exp.Expr, scope: Scope, nodes: list[Any] | None = None) -> Call:
        nodes = nodes or []
        args = [self.expr(n, scope) for n in nodes if not isinstance(n, exp.Lambda)]
        return Call(name, args, nodes, self.at(node), lambda n, kinds: self._lambda(n, kinds, scope))

    def _call_of(self, name: str, nodes: list[Any], node: exp.Expr, scope: Scope) -> Ex:
        return scalar(self._call(name, node, scope, [n for n in nodes if n is not None]))

    def _on_anonymous(self, node: exp.Anonymous, scope: Scope) -> Ex:
        name = node.name.lower()
        if name in AGGREGATES:
            return self._aggregate(node, scope)
        if name in WINDOWS:
            raise AthenaError("MISSING_OVER", f"Window function {name} requires an OVER clause", self.at(node))
        if name in LAMBDAS:
            return LAMBDAS[name](self._call(name, node, scope, node.expressions))
        if name in TRINO_ONLY:
            raise unsupported(f"Function '{name}'", self.at(node))
        if any(isinstance(n, exp.Lambda | exp.Star | exp.Distinct | exp.Order) for n in node.expressions):
            raise unsupported(f"'{node.sql(dialect='trino')}'", self.at(node))
        return scalar(self._call(name, node, scope, node.expressions))

    def _lambda(self, node: Any, kinds: list[Type], scope: Scope) -> Ex:
        if not isinstance(node, exp.Lambda) or len(node.expressions) != len(kinds):
            raise AthenaError("FUNCTION_NOT_FOUND", "A lambda with other arguments was expected", None)
        names = [f"v{next(self._names)}" for _ in kinds]
        variables = {i.name.lower(): Ex(n, k) for i, n, k in zip(node.expressions, names, kinds, strict=True)}
        body = self.expr(node.this, scope.inside(variables))
        return Ex(f"lambda {', '.join(names)}: {body.sql}", body.type)

    def _aggregate(self, node: exp.Expr, scope: Scope, over: str = "") -> Ex:
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
            return self._on_groupconcat(call, scope, tail)
        if name not in AGGREGATES and not (over and name in WINDOWS):
            if isinstance(call, exp.Anonymous) and not over and not tail:
                raise unsupported(f"'{node.sql(dialect='trino')}'", self.at(node))
            self._on_anonymous(call, scope) if isinstance(call, exp.Anonymous) else None
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
        made = window(described) if name in WINDOWS else aggregate(described)
        word = "DISTINCT " if distinct or made.distinct else ""
        core = f"{made.name}({word}{', '.join(made.args)}{order}{nulls}){tail}{over}"
        return Ex(made.post.replace("{}", core), made.type)

    def _on_groupconcat(self, node: exp.GroupConcat, scope: Scope, tail: str = "") -> Ex:
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

    def _on_window(self, node: exp.Window, scope: Scope) -> Ex:
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
        if isinstance(value, exp.Expr):
            return f"{self.expr(value, scope).sql} {direction}"
        return f"{value} {direction}".strip() if value else ""
