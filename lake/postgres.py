"""A contract as a table of PostgreSQL: its definition, and the way from what exists to it, by additions alone.

Standard library only. A timestamp is an instant in UTC with milliseconds and without a zone, as replication moves it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from lake.contracts import Column

# As `format_type` of PostgreSQL spells them.
_TYPES = {
    "string": "text",
    "int": "integer",
    "bigint": "bigint",
    "double": "double precision",
    "boolean": "boolean",
    "timestamp": "timestamp(3) without time zone",
}


class MigrationRefused(Exception):
    """What exists cannot become what is asked for without a loss; the text names the table and every column, with what to do."""


@dataclass(frozen=True, kw_only=True)
class Existing:
    """A column as the database has it. type: by `format_type`; key: its place in the primary key from 1, 0 for none."""

    name: str
    type: str
    required: bool
    key: int = 0


# Answers the columns of one table as `Existing` has them, in their order; takes the table's name as its parameter.
EXISTING = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, coalesce(array_position(i.indkey::int2[], a.attnum) + 1, 0)
FROM pg_attribute a LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def type_of(column: Column) -> str:
    """The column's type. Raises ValueError for one that no column of PostgreSQL here has."""
    if column.type not in _TYPES:
        raise ValueError(f"{column.name}: a table of PostgreSQL has no {column.type!r} here, only {', '.join(_TYPES)}")
    return _TYPES[column.type]


def create_table(table: str, columns: Sequence[Column], key: Sequence[str]) -> str:
    lines = [f"{quoted(c.name)} {type_of(c)}{' NOT NULL' if c.required else ''}" for c in columns]
    return f"CREATE TABLE {quoted(table)} ({', '.join(lines)}, PRIMARY KEY ({', '.join(map(quoted, key))}))"


def migration(table: str, columns: Sequence[Column], key: Sequence[str], existing: Sequence[Existing]) -> list[str]:
    """The statements that make `table`, of which there is `existing` (empty: no such table), what `columns` and `key` say.

    A column may come, empty, and may cease to be required. Raises MigrationRefused for everything else.
    """
    if not existing:
        return [create_table(table, columns, key)]
    wanted, found = {c.name: c for c in columns}, {c.name: c for c in existing}
    reasons = [f"{name} exists and would be dropped" for name in found if name not in wanted]
    statements = []
    for name, column in wanted.items():
        if name not in found:
            if column.required:
                reasons.append(f"{name} is new and required, and the rows that are there have no value for it")
            statements.append(f"ALTER TABLE {quoted(table)} ADD COLUMN {quoted(name)} {type_of(column)}")
            continue
        if found[name].type != type_of(column):
            reasons.append(f"{name} is {found[name].type} and would become {type_of(column)}")
        if column.required and not found[name].required:
            reasons.append(f"{name} would become required")
        if found[name].required and not column.required:
            statements.append(f"ALTER TABLE {quoted(table)} ALTER COLUMN {quoted(name)} DROP NOT NULL")
    held = [c.name for c in sorted(existing, key=lambda c: c.key) if c.key]
    if held != list(key):
        reasons.append(f"its key is ({', '.join(held)}) and would become ({', '.join(key)})")
    if reasons:
        raise MigrationRefused(
            f"table {table} is migrated by additions only: {'; '.join(reasons)}. "
            "Change the contract back, or give the column another name and keep the old one"
        )
    return statements
