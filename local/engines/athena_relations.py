"""FROM: tables of the catalogue, common table expressions, joins, subqueries, UNNEST and LATERAL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from sqlglot import exp

from local.engines.athena_expr import Ex, Position, together
from local.engines.athena_invocations import Invocations
from local.engines.athena_scope import Column, Scope
from local.engines.athena_types import BIGINT, AthenaError, Type, quote, row_fields, text, unsupported


@dataclass(frozen=True)
class Table:
    """A table as the catalogue knows it. sql: what DuckDB reads it from; columns: names and types, in order."""

    sql: str
    columns: list[tuple[str, Type]]


# (database or None, table, position) -> Table; raises TABLE_NOT_FOUND.
Catalogue = Callable[[str | None, str, Position], Table]


class Relations(Invocations):
    """Translates FROM and fills the scope with its columns."""

    def __init__(self, sql: str, catalogue: Catalogue) -> None:
        super().__init__(sql)
        self._catalogue = catalogue

    def source(self, node: exp.Select, scope: Scope) -> str:
        clause = node.args.get("from_")
        if not clause:
            return ""
        sql, scope.columns = self._relation(clause.this, scope)
        for nested in clause.this.args.get("joins") or []:
            sql += self._join(nested, scope)
        for join in node.args.get("joins") or []:
            sql += self._join(join, scope)
        return f" FROM {sql}"

    def _join(self, join: exp.Join, scope: Scope) -> str:
        kind, side = (join.args.get("kind") or "").upper(), (join.args.get("side") or "").upper()
        if join.args.get("method") or kind not in ("", "INNER", "OUTER", "CROSS"):
            raise unsupported(f"{join.args.get('method') or ''} {kind} JOIN".strip(), self.at(join))
        left = scope.columns
        sql, right = self._relation(join.this, scope)
        using, on = join.args.get("using"), join.args.get("on")
        lateral = isinstance(join.this, exp.Unnest | exp.Lateral)
        if using:
            return self._using(join, side, sql, left, right, scope)
        scope.columns = left + right
        if kind == "CROSS" or join.meta.get("comma"):
            return f" CROSS JOIN {sql}"
        if on is None or (lateral and not (isinstance(on, exp.Boolean) and on.this)):
            raise unsupported(
                "This kind of join with UNNEST or LATERAL" if lateral else "A join without a condition", self.at(join)
            )
        return f" {side} JOIN {sql} ON {self.condition(on, scope, 'JOIN ON').sql}"

    def _using(self, join: exp.Join, side: str, sql: str, left: list[Column], right: list[Column], scope: Scope) -> str:
        tests, merged, names = [], [], [u.name.lower() for u in join.args["using"]]
        for name in names:
            pair = [next((c for c in side_ if c.name.lower() == name), None) for side_ in (left, right)]
            if pair[0] is None or pair[1] is None:
                raise AthenaError("COLUMN_NOT_FOUND", f"Column '{name}' is missing from a side of the join", self.at(join))
            both = together([Ex(c.sql, c.type) for c in pair if c], "Columns of USING must be the same type")
            tests.append(f"{both[0].sql} = {both[1].sql}")
            merged.append(Column(name, both[0].type, f"coalesce({both[0].sql}, {both[1].sql})"))
        scope.columns = merged + [c for c in left + right if c.name.lower() not in names]
        return f" {side} JOIN {sql} ON {' AND '.join(tests)}"

    def _relation(self, node: exp.Expr, scope: Scope) -> tuple[str, list[Column]]:
        """A FROM item and its columns."""
        if isinstance(node, exp.Table):
            return self._table(node, scope)
        if isinstance(node, exp.Unnest):
            return self._unnest(node, scope)
        alias = node.args.get("alias")
        inner: Any = node
        outer = scope.parent or Scope()
        if isinstance(node, exp.Lateral):
            inner, outer = node.this.this, scope
            if node.args.get("view") or not isinstance(node.this, exp.Subquery):
                raise unsupported(f"'{node.sql(dialect='trino')}'", self.at(node))
        elif isinstance(node, exp.Subquery):
            if not isinstance(node.this, exp.Query) and not isinstance(node.this, exp.Values):
                return self._nested(node, scope)
            inner = node.this
        elif not isinstance(node, exp.Values):
            raise unsupported(f"'{node.sql(dialect='trino')}'", self.at(node))
        outer = replace(outer, ctes=scope.ctes)
        query = self.query(inner, outer)
        lateral = "LATERAL " if isinstance(node, exp.Lateral) else ""
        return self._aliased(f"{lateral}({query.sql})", query.columns, alias, node)

    def _nested(self, node: exp.Subquery, scope: Scope) -> tuple[str, list[Column]]:
        """A join in parentheses."""
        sql, columns = self._relation(node.this, scope)
        inner = Scope(columns=columns, parent=scope.parent, ctes=scope.ctes)
        for join in [*(node.this.args.get("joins") or []), *(node.args.get("joins") or [])]:
            sql += self._join(join, inner)
        return f"({sql})", inner.columns

    def _aliased(self, sql: str, columns: list[tuple[str | None, Type]], alias: Any, node: exp.Expr) -> tuple[str, list[Column]]:
        relation = f"r{next(self._names)}"
        name = alias.name if alias and alias.this else None
        names = renamed(columns, [c.name for c in alias.columns] if alias else [], self.at(node))
        found = [Column(n or "", t, f"{relation}.c{i}", name) for i, (n, t) in enumerate(names)]
        return f"{sql} AS {relation}", found

    def _table(self, node: exp.Table, scope: Scope) -> tuple[str, list[Column]]:
        extra = [k for k, v in node.args.items() if v and k not in ("this", "db", "catalog", "alias", "joins")]
        if extra or not isinstance(node.this, exp.Identifier):
            raise unsupported(f"'{node.sql(dialect='trino')}'", self.at(node))
        name, database, catalog = node.name.lower(), node.text("db").lower() or None, node.text("catalog").lower()
        alias = node.args.get("alias")
        if catalog not in ("", "awsdatacatalog"):
            raise AthenaError("CATALOG_NOT_FOUND", f"Catalog '{catalog}' does not exist", self.at(node))
        if not database and name in scope.ctes:
            source, columns = scope.ctes[name]
            sql, found = self._aliased(source, columns, alias, node)
            return sql, found if alias and alias.this else [replace(c, relation=node.name) for c in found]
        table = self._catalogue(database, name, self.at(node))
        relation = f"r{next(self._names)}"
        shown = alias.name if alias and alias.this else node.name
        home = None if alias and alias.this else database
        names = renamed(list(table.columns), [c.name for c in alias.columns] if alias else [], self.at(node))
        pairs = zip(names, table.columns, strict=True)
        found = [Column(n or "", t, f"{relation}.{quote(real)}", shown, home) for (n, t), (real, _) in pairs]
        return f"{table.sql} AS {relation}", found

    def _unnest(self, node: exp.Unnest, scope: Scope) -> tuple[str, list[Column]]:
        """Arrays side by side, padded with NULL; a map gives two columns, rows give their fields."""
        lists: list[str] = []
        outs: list[tuple[str, Type]] = []
        for item in node.expressions:
            ex = self.expr(item, scope)
            if ex.type.name == "map":
                lists += [f"map_keys({ex.sql})", f"map_values({ex.sql})"]
                outs += [(f"u{len(lists) - 2}", ex.type.args[0]), (f"u{len(lists) - 1}", ex.type.args[1])]
                continue
            if ex.type.name != "array":
                raise AthenaError("INVALID_FUNCTION_ARGUMENT", f"Cannot unnest type: {ex.type}", self.at(item))
            lists.append(ex.sql)
            element, place = ex.type.args[0], f"u{len(lists) - 1}"
            if element.name == "row":
                outs += [(f"struct_extract({place}, {text(n)})", t) for n, t in row_fields(element)]
            else:
                outs.append((place, element))
        offset = node.args.get("offset")
        if offset:
            longest = f"greatest({', '.join(f'len({item})' for item in lists)})"
            outs.append((f"u{len(lists)}", BIGINT))
            lists.append(f"generate_series(1, {longest})")
        inner = ", ".join(f"unnest({item}) AS u{i}" for i, item in enumerate(lists))
        shown = ", ".join(f"{sql} AS c{i}" for i, (sql, _) in enumerate(outs))
        alias = node.args.get("alias")
        names = [c.name for c in alias.columns] if alias else []
        if isinstance(offset, exp.Expr) and names:
            names.append(offset.name)
        columns = renamed([(None, t) for _, t in outs], names, self.at(node))
        relation = f"r{next(self._names)}"
        shown_as = alias.name if alias and alias.this else None
        found = [Column(n or "", t, f"{relation}.c{i}", shown_as) for i, (n, t) in enumerate(columns)]
        return f"LATERAL (SELECT {shown} FROM (SELECT {inner})) AS {relation}", found


def renamed(columns: Any, names: list[str], position: Position) -> list[tuple[str | None, Type]]:
    """Columns with the names of an alias list. Raises MISMATCHED_COLUMN_ALIASES."""
    if names and len(names) != len(columns):
        said = f"Column alias list has {len(names)} entries but relation has {len(columns)} columns"
        raise AthenaError("MISMATCHED_COLUMN_ALIASES", said, position)
    return [(n, t) for n, (_, t) in zip(names, columns, strict=True)] if names else list(columns)
