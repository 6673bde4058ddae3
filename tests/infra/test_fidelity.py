"""The fidelity page says what is true of every template."""

from collections import Counter

import pytest
from conftest import Synthesise

from cli import fidelity


def types(assembly: Synthesise, env: str) -> Counter[str]:
    return fidelity.resource_types(template.body for template in assembly(env).templates())


def test_the_page_is_up_to_date(assembly: Synthesise) -> None:
    made = fidelity.page(types(assembly, "local"), types(assembly, "everything"))
    assert fidelity.PAGE.read_text() == made, "docs/fidelity.md is out of date: run `make docs`"


@pytest.mark.parametrize("env", ["dev", "prod"])
def test_no_environment_holds_a_type_the_page_lacks(assembly: Synthesise, env: str) -> None:
    assert set(types(assembly, env)) <= set(fidelity.FIDELITY)


def test_an_unlisted_type_is_refused() -> None:
    with pytest.raises(fidelity.UnknownType, match="AWS::Quantum::Ledger"):
        fidelity.page(Counter({"AWS::Quantum::Ledger": 1}), Counter())
