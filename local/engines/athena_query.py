"""Queries of Athena's SQL: SELECT, WITH, VALUES, set operations, joins and UNNEST, from sqlglot's tree to DuckDB."""

from __future__ import annotations

from sqlglot import exp

from local.engines.athena_expr import Ex, convert, together
from local.engines.athena_relations import Catalogue, Relations, renamed
from local.engines.athena_scope import Column, Query, Scope, parse
from local.engines.athena_types import (
    AthenaError,
    Type,
    common,
    unsupported,
)

_SELECT = {
    "expressions", "from_", "joins", "where", "group", "having", "distinct", "order", "limit", "offset", "with_", "windows",
    "kind", "hint", "operation_modifiers",
}  # fmt: skip


def translate(sql: str, catalogue: Catalogue) -> Query:
    """A query in Athena's SQL as DuckDB SQL, with the names and types of its columns.

    Raises AthenaError: syntax, names, types, and whatever is not known to mean the same in both.
    """
    return Queries(sql, catalogue).query(parse(sql), Scope())


class Queries(Relations):
    """Translates whole queries."""

    def query(self, node: exp.Expr, parent: Scope) -> Query:
        if isinstance(node, exp.Subquery) and not node.args.get("alias"):
            extra = {k for k in ("order", "limit", "offset", "with_") if node.args.get(k)}
            return self._finish(self.query(node.this, parent), node, parent) if extra else self.query(node.this, parent)
        scope, prefix = self._with(node, parent)
        if isinstance(node, exp.Select):
            made = self._select(node, scope)
        elif isinstance(node, exp.SetOperation):
            made = self._finish(self._set(node, scope), node, scope)
        elif isinstance(node, exp.Values):
            made = self._values(node, scope)
        else:
            raise unsupported(f"The statement '{node.key.upper()}'", self.at(node))
        return Query(prefix + made.sql, made.columns)

    # WITH -----------------------------------------------------------------------------------------------------------------

    def _with(self, node: exp.Expr, parent: Scope) -> tuple[Scope, str]:
        clause = node.args.get("with_")
        scope = Scope(parent=parent, ctes=dict(parent.ctes), variables=parent.variables)
        if not clause:
            return scope, ""
        recursive, parts = bool(clause.args.get("recursive")), []
        for cte in clause.expressions:
            name = f"cte{next(self._names)}"
            alias = cte.args["alias"]
            names = [c.name for c in alias.columns]
            if recursive and isinstance(cte.this, exp.Union):
                anchor = self.query(cte.this.left, scope)
                scope.ctes[alias.name.lower()] = (name, renamed(anchor.columns, names, self.at(cte)))
            query = self.query(cte.this, scope)
            scope.ctes[alias.name.lower()] = (name, renamed(query.columns, names, self.at(cte)))
            columns = ", ".join(f"c{i}" for i in range(len(query.columns)))
            parts.append(f"{name}({columns}) AS ({query.sql})")
        return scope, f"WITH {'RECURSIVE ' if recursive else ''}{', '.join(parts)} "

    # SELECT ---------------------------------------------------------------------------------------------------------------

    def _select(self, node: exp.Select, scope: Scope) -> Query:
        strange = [k for k, v in node.args.items() if v and k not in _SELECT]
        if strange or node.args.get("kind") or node.args.get("hint"):
            raise AthenaError("SYNTAX_ERROR", f"mismatched input '{(strange or ['hint'])[0].upper()}'", self.at(node))
        source = self.source(node, scope)
        scope.windows = {w.this.name.lower(): w for w in node.args.get("windows") or []}
        outputs = self._outputs(node, scope)
        sql = "SELECT "
        if distinct := node.args.get("distinct"):
            if distinct.args.get("on"):
                raise AthenaError("SYNTAX_ERROR", "mismatched input 'ON'", self.at(distinct))
            sql += "DISTINCT "
        sql += ", ".join(f"{ex.sql} AS c{i}" for i, (_, ex) in enumerate(outputs)) + source
        if where := node.args.get("where"):
            sql += f" WHERE {self.condition(where.this, scope, 'WHERE').sql}"
        if group := node.args.get("group"):
            sql += " GROUP BY " + self._group(group, outputs, scope)
        if having := node.args.get("having"):
            sql += f" HAVING {self.condition(having.this, scope, 'HAVING').sql}"
        sql += self._tail(node, scope, outputs)
        return Query(sql, [(name, ex.type) for name, ex in outputs])

    def _outputs(self, node: exp.Select, scope: Scope) -> list[tuple[str | None, Ex]]:
        outputs: list[tuple[str | None, Ex]] = []
        for item in node.expressions:
            if isinstance(item, exp.Star) or (isinstance(item, exp.Column) and isinstance(item.this, exp.Star)):
                outputs += self._star(item, scope)
            elif isinstance(item, exp.Alias):
                outputs.append((item.alias, self.expr(item.this, scope)))
            else:
                named = isinstance(item, exp.Column | exp.Dot)
                outputs.append((item.name if named else None, self.expr(item, scope)))
        return outputs

    def _star(self, item: exp.Expr, scope: Scope) -> list[tuple[str | None, Ex]]:
        star = item.this if isinstance(item, exp.Column) else item
        if any(star.args.get(k) for k in ("except_", "except", "replace", "rename")):
            raise AthenaError("SYNTAX_ERROR", "mismatched input after '*'", self.at(item))
        place = [p.name.lower() for p in item.parts[:-1]] if isinstance(item, exp.Column) else []
        wanted = [c for c in scope.columns if not place or (c.relation and c.relation.lower() == place[-1])]
        if place and not wanted:
            raise AthenaError("TABLE_NOT_FOUND", f"Unable to resolve reference {'.'.join(place)}", self.at(item))
        if not wanted:
            raise AthenaError("SYNTAX_ERROR", "SELECT * not allowed in queries without FROM clause", self.at(item))
        return [(c.name, Ex(c.sql, c.type)) for c in wanted]

    def _group(self, group: exp.Group, outputs: list[tuple[str | None, Ex]], scope: Scope) -> str:
        def one(item: exp.Expr) -> str:
            if isinstance(item, exp.Literal) and not item.is_string:
                return self._ordinal(item, outputs)[1].sql
            if isinstance(item, exp.Tuple | exp.Paren):
                inner = item.expressions if isinstance(item, exp.Tuple) else [item.this]
                return "(" + ", ".join(one(i) for i in inner) + ")"
            for kind, word in ((exp.Rollup, "ROLLUP"), (exp.Cube, "CUBE"), (exp.GroupingSets, "GROUPING SETS")):
                if isinstance(item, kind):
                    return f"{word} (" + ", ".join(one(i) for i in item.expressions) + ")"
            return self.expr(item, scope).sql

        items = list(group.expressions)
        for key in ("rollup", "cube", "grouping_sets"):
            items += group.args.get(key) or []
        if group.args.get("all") or not items:
            raise unsupported(f"'{group.sql(dialect='trino').strip()}'", self.at(group))
        return ", ".join(one(i) for i in items)

    def _ordinal(self, item: exp.Literal, outputs: list[tuple[str | None, Ex]]) -> tuple[int, Ex]:
        if not item.this.isdigit() or not 1 <= int(item.this) <= len(outputs):
            raise AthenaError("INVALID_COLUMN_REFERENCE", f"Position {item.this} is not in select list", self.at(item))
        return int(item.this), outputs[int(item.this) - 1][1]

    def _tail(self, node: exp.Expr, scope: Scope, outputs: list[tuple[str | None, Ex]]) -> str:
        """ORDER BY (output names first, NULLs last), OFFSET and LIMIT."""
        sql = ""
        if order := node.args.get("order"):
            sql += " ORDER BY " + ", ".join(self._ordered(item, scope, outputs) for item in order.expressions)
        limit, offset = node.args.get("limit"), node.args.get("offset")
        if isinstance(limit, exp.Fetch):
            options = limit.args.get("limit_options")
            if options and (options.args.get("with_ties") or options.args.get("percent")):
                raise unsupported("FETCH FIRST ... WITH TIES", self.at(limit))
            sql += f" LIMIT {self._count(limit.args.get('count') or exp.Literal.number(1))}"
        elif limit:
            sql += f" LIMIT {self._count(limit.expression)}" if limit.expression.name.upper() != "ALL" else ""
        return sql + (f" OFFSET {self._count(offset.expression)}" if offset else "")

    def _ordered(self, item: exp.Ordered, scope: Scope, outputs: list[tuple[str | None, Ex]]) -> str:
        direction = "DESC" if item.args.get("desc") else "ASC"
        nulls = "FIRST" if item.args.get("nulls_first") else "LAST"
        key, target = item.this, None
        if isinstance(key, exp.Literal) and not key.is_string:
            target = self._ordinal(key, outputs)[0]
        elif isinstance(key, exp.Column) and len(key.parts) == 1:
            named = [i for i, (name, _) in enumerate(outputs) if name and name.lower() == key.name.lower()]
            target = named[0] + 1 if named else None
        if target is None:
            names = {name.lower(): ex for name, ex in reversed(outputs) if name}
            sql = self.expr(key, scope.inside(names)).sql
            same = [i for i, (_, ex) in enumerate(outputs) if ex.sql == sql]
            return f"{same[0] + 1 if same else sql} {direction} NULLS {nulls}"
        return f"{target} {direction} NULLS {nulls}"

    def _count(self, node: exp.Expr) -> str:
        if not isinstance(node, exp.Literal) or node.is_string or not node.this.isdigit():
            raise unsupported("LIMIT and OFFSET that are not written out", self.at(node))
        return str(node.this)

    # Set operations and VALUES ---------------------------------------------------------------------------------------------

    def _set(self, node: exp.SetOperation, scope: Scope) -> Query:
        left, right = self.query(node.left, scope), self.query(node.right, scope)
        if len(left.columns) != len(right.columns):
            said = f"{node.key.upper()} query has different number of fields: {len(left.columns)}, {len(right.columns)}"
            raise AthenaError("TYPE_MISMATCH", said, self.at(node))
        columns = []
        for i, ((name, a), (_, b)) in enumerate(zip(left.columns, right.columns, strict=True)):
            kind = common(a, b)
            if kind is None:
                said = f"column {i + 1} in {node.key.upper()} query has incompatible types: {a}, {b}"
                raise AthenaError("TYPE_MISMATCH", said, self.at(node))
            columns.append((name, kind))
        word = node.key.upper() + ("" if node.args.get("distinct") else " ALL")
        return Query(f"({_as(left, columns)}) {word} ({_as(right, columns)})", columns)

    def _finish(self, query: Query, node: exp.Expr, scope: Scope) -> Query:
        """ORDER BY and LIMIT of a whole set operation: by output names and positions."""
        outputs = [(name, Ex(f"c{i}", kind)) for i, (name, kind) in enumerate(query.columns)]
        inside = Scope(columns=[Column(n or "", e.type, e.sql) for n, e in outputs], parent=scope.parent, ctes=scope.ctes)
        tail = self._tail(node, inside, outputs)
        return Query(f"SELECT * FROM ({query.sql}){tail}", query.columns) if tail else query

    def _values(self, node: exp.Values, scope: Scope) -> Query:
        rows = [[self.expr(v, scope) for v in (r.expressions if isinstance(r, exp.Tuple) else [r])] for r in node.expressions]
        if len({len(r) for r in rows}) != 1:
            raise AthenaError("TYPE_MISMATCH", "Values rows have different numbers of columns", self.at(node))
        turned = [together(list(column), "Values rows have mismatched types") for column in zip(*rows, strict=True)]
        lines = ["(" + ", ".join(column[i].sql for column in turned) + ")" for i in range(len(rows))]
        names = ", ".join(f"c{i}" for i in range(len(turned)))
        sql = f"SELECT * FROM (VALUES {', '.join(lines)}) AS v({names})"
        return self._finish(Query(sql, [(None, column[0].type) for column in turned]), node, scope)


def _as(query: Query, columns: list[tuple[str | None, Type]]) -> str:
    if [t for _, t in query.columns] == [t for _, t in columns]:
        return query.sql
    pairs = zip(query.columns, columns, strict=True)
    shown = ", ".join(f"{convert(Ex(f'c{i}', a), b).sql} AS c{i}" for i, ((_, a), (_, b)) in enumerate(pairs))
    return f"SELECT {shown} FROM ({query.sql})"
