"""A function call of the query, and the tables that hold what is more than a template."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from local.engines.athena_expr import Ex, Position
from local.engines.athena_types import AthenaError, Type, unsupported


@dataclass(frozen=True)
class Call:
    """A function call with its arguments translated. nodes: as parsed; lambda_: translates a lambda for argument types."""

    name: str
    args: list[Ex]
    nodes: list[Any]
    position: Position
    lambda_: Callable[[Any, list[Type]], Ex]

    def wrong(self) -> AthenaError:
        given = ", ".join(str(a.type) for a in self.args)
        return AthenaError("FUNCTION_NOT_FOUND", f"Unexpected parameters ({given}) for function {self.name}", self.position)

    def literal(self, index: int, what: str) -> Any:
        if len(self.args) <= index:
            raise self.wrong()
        value = self.args[index].literal
        if value is None:
            raise unsupported(f"{self.name} with a {what} that is not written out", self.position)
        return value

    def count(self, least: int, most: int | None = None) -> None:
        if not least <= len(self.args) <= (most or least):
            raise self.wrong()


Special = Callable[[Call], Ex]
SPECIAL: dict[str, Special] = {}
# Translated with unanalysed arguments, because some are lambdas.
LAMBDAS: dict[str, Special] = {}


def special(*names: str, table: dict[str, Special] = SPECIAL) -> Callable[[Special], Special]:
    def register(function: Special) -> Special:
        table.update(dict.fromkeys(names, function))
        return function

    return register
