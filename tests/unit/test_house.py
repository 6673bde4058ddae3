"""The house: who may import whom, names that stand once, contracts that hold together."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from lake import odcs
from lake.contracts import Contract, compile_json
from lake.jobs import JOBS, source_tables

ROOT = Path(__file__).resolve().parent.parent.parent
ROOMS = ("lake", "stacks", "ingestion", "sensors", "glue_scripts", "spark_jobs", "local", "cli", "bench")
# Which rooms a room may import, besides itself.
ALLOWED = {
    "lake": set(),
    "stacks": {"lake"},
    "ingestion": {"lake"},
    "sensors": {"lake"},
    "glue_scripts": {"lake"},
    "spark_jobs": {"lake"},
    "local": {"lake"},
    "cli": set(ROOMS),
    "bench": set(ROOMS),
}
HEAVY = {"aws_cdk", "constructs", "pyspark", "delta"}


def python_files(room: str) -> Iterator[Path]:
    return (path for path in (ROOT / room).rglob("*.py") if "__pycache__" not in path.parts)


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


@pytest.mark.parametrize("room", ROOMS)
def test_arrows_point_inward(room: str) -> None:
    for path in python_files(room):
        others = {name.split(".")[0] for name in imported(path)} & set(ROOMS) - {room}
        assert others <= ALLOWED[room], f"{path.relative_to(ROOT)} imports {sorted(others - ALLOWED[room])}"


def test_the_kernel_needs_neither_cdk_nor_spark_outside_lake_spark() -> None:
    for path in python_files("lake"):
        heavy = {name.split(".")[0] for name in imported(path)} & HEAVY
        if path.parent == ROOT / "lake" / "spark":
            heavy -= {"pyspark"}
        assert not heavy, f"{path.relative_to(ROOT)} imports {sorted(heavy)}"


def test_only_jobs_import_lake_spark() -> None:
    for room in set(ROOMS) - {"lake", "glue_scripts", "spark_jobs", "bench"}:
        for path in python_files(room):
            assert not any(name.startswith("lake.spark") for name in imported(path)), path.relative_to(ROOT)


def test_a_physical_name_stands_once() -> None:
    """Only lake/names.py spells out names that begin with the project's."""
    for room in ("lake", "stacks", "ingestion", "glue_scripts", "spark_jobs", "cli"):
        for path in python_files(room):
            if path == ROOT / "lake" / "names.py":
                continue
            nodes = ast.walk(ast.parse(path.read_text()))
            texts = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
            offending = [text for text in texts if text.startswith(("tributary-local", "tributary-dev", "tributary-prod"))]
            assert not offending, f"{path.relative_to(ROOT)}: {offending}"


def test_contracts_survive_compilation() -> None:
    import json

    contracts = odcs.load_all()
    compiled = json.loads(compile_json(contracts))
    assert {name: Contract.from_json(data) for name, data in compiled.items()} == contracts


@pytest.mark.parametrize("contract", odcs.load_all().values(), ids=lambda c: c.name)
def test_a_contract_holds_together(contract: Contract) -> None:
    names = [column.name for column in contract.columns]
    assert len(set(names)) == len(names)
    assert contract.key
    assert all(contract.column(name).required for name in (*contract.key, *contract.partitions))
    assert all(column.description for column in contract.columns)
    assert set(contract.inputs) <= set(odcs.load_all())


def test_every_delta_table_has_exactly_one_job_that_writes_it() -> None:
    written = sorted(table for job in JOBS.values() for table in job.tables)
    assert written == sorted(c.name for c in odcs.load_all().values() if c.format == "delta")
    assert source_tables("boston311") == (
        "silver.service_requests",
        "silver.service_requests_superseded",
        "gold.case_delays",
        "gold.neighborhood_service",
        "gold.response_times",
    )


def test_a_wrong_contract_is_refused_with_its_place() -> None:
    text = (ROOT / "contracts" / "case_delays.odcs.yaml").read_text()
    with pytest.raises(odcs.ContractError, match=r"here\.yaml.*colour"):
        odcs.parse(text.replace("domain: boston311", "domain: boston311\ncolour: red"), where="here.yaml")
    with pytest.raises(odcs.ContractError, match="id and physicalName"):
        odcs.parse(text.replace("physicalName: gold.case_delays", "physicalName: copper.case_delays"), where="here.yaml")
