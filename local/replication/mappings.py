"""Table mappings of a task: which tables are replicated, and which columns are added. What is not supported is refused by name."""

import json
import re
from dataclasses import dataclass
from typing import Any

CHANGE_SEQUENCE = "$AR_H_CHANGE_SEQ"
_SELECTION = {"rule-type", "rule-id", "rule-name", "object-locator", "rule-action", "filters"}
_TRANSFORMATION = {"rule-type", "rule-id", "rule-name", "rule-target", "object-locator", "rule-action", "value", "expression"}
_DIGITS = 35


class MappingError(Exception):
    """Table mappings that are wrong or not supported; the text says where and why."""


@dataclass(frozen=True)
class Locator:
    """A schema and a table, both with % for anything."""

    schema: str
    table: str

    def matches(self, schema: str, table: str) -> bool:
        return _like(self.schema, schema) and _like(self.table, table)


@dataclass(frozen=True)
class Mappings:
    """added: columns that carry the change sequence."""

    included: tuple[Locator, ...]
    excluded: tuple[Locator, ...]
    added: tuple[tuple[Locator, str], ...]

    def selects(self, schema: str, table: str) -> bool:
        """Whether the table is replicated; an exclusion beats every inclusion."""
        chosen = any(locator.matches(schema, table) for locator in self.included)
        return chosen and not any(locator.matches(schema, table) for locator in self.excluded)

    def sequence_columns(self, schema: str, table: str) -> tuple[str, ...]:
        return tuple(name for locator, name in self.added if locator.matches(schema, table))


def parse(text: str) -> Mappings:
    """From the JSON of TableMappings. Raises MappingError."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise MappingError(f"Table mappings are no JSON: {error}") from error
    rules = document.get("rules") if isinstance(document, dict) else None
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise MappingError('Table mappings must be {"rules": [...]}')
    included: list[Locator] = []
    excluded: list[Locator] = []
    added: list[tuple[Locator, str]] = []
    ids: set[str] = set()
    for rule in rules:
        number = str(rule.get("rule-id", ""))
        if not number or number in ids:
            raise MappingError(f"every rule needs a rule-id of its own, not {number!r}")
        ids.add(number)
        kind = rule.get("rule-type")
        if kind == "selection":
            locator, action = _locator(rule, _SELECTION), rule.get("rule-action")
            if action not in ("include", "exclude"):
                raise MappingError(f"rule {number}: rule-action {action!r} is not supported, only include and exclude")
            if rule.get("filters"):
                raise MappingError(f"rule {number}: filters are not supported by the laptop's DMS")
            (included if action == "include" else excluded).append(locator)
        elif kind == "transformation":
            added.append((_locator(rule, _TRANSFORMATION | {"data-type"}), _added_column(rule)))
        else:
            raise MappingError(f"rule {number}: rule-type {kind!r} is not supported, only selection and transformation")
    if not included:
        raise MappingError("no selection rule includes a table")
    return Mappings(tuple(included), tuple(excluded), tuple(added))


def _locator(rule: dict[str, Any], known: set[str]) -> Locator:
    number = rule["rule-id"]
    unknown = sorted(set(rule) - known)
    if unknown:
        raise MappingError(f"rule {number}: {', '.join(unknown)} not supported by the laptop's DMS")
    where = rule.get("object-locator")
    if not isinstance(where, dict) or set(where) != {"schema-name", "table-name"}:
        raise MappingError(f"rule {number}: object-locator needs schema-name and table-name, and nothing else is supported")
    return Locator(str(where["schema-name"]), str(where["table-name"]))


def _added_column(rule: dict[str, Any]) -> str:
    number = rule["rule-id"]
    what = (rule.get("rule-target"), rule.get("rule-action"), rule.get("expression"))
    if what != ("column", "add-column", CHANGE_SEQUENCE):
        raise MappingError(f"rule {number}: of transformations only add-column of {CHANGE_SEQUENCE} to a column is supported")
    kind = rule.get("data-type")
    if not isinstance(kind, dict) or kind.get("type") != "string" or int(kind.get("length") or 0) < _DIGITS:
        raise MappingError(f"rule {number}: the change sequence needs data-type string of at least {_DIGITS} characters")
    if not rule.get("value"):
        raise MappingError(f"rule {number}: value (the new column's name) is missing")
    return str(rule["value"])


def _like(pattern: str, name: str) -> bool:
    return re.fullmatch(".*".join(re.escape(part) for part in pattern.split("%")), name) is not None
