"""Reads `contracts/*.odcs.yaml`, written in the Open Data Contract Standard 3.0 (bitol.io), into `lake.contracts.Contract`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lake.contracts import Column, Contract, Rule
from lake.names import LAYERS, Layer

CONTRACTS_DIR = Path(__file__).resolve().parent.parent / "contracts"


class ContractError(Exception):
    """A contract file is wrong; the text names the file, the place and what is expected."""


class _Part(BaseModel):
    # The standard has many more fields; one that we do not read is refused, so that a slip of the pen is found.
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Quality(_Part):
    name: str
    type: Literal["custom"]
    engine: Literal["spark"]
    implementation: str
    description: str = ""


class _Property(_Part):
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    logicalType: Literal["string", "number", "integer", "boolean", "timestamp", "date", "array", "object"]
    physicalType: str
    required: bool = False
    primaryKey: bool = False
    primaryKeyPosition: int = 1
    partitioned: bool = False
    partitionKeyPosition: int = 1
    description: str
    classification: Literal["public", "internal", "personal"] = "public"


class _Schema(_Part):
    name: str
    physicalName: str
    logicalType: Literal["object"]
    physicalType: Literal["table"]
    properties: list[_Property]
    quality: list[_Quality] = []


class _Custom(_Part):
    property: Literal["quarantineThreshold", "format", "inputs", "columnsOf"]
    value: Any


class _Sla(_Part):
    property: Literal["latency"]
    value: int
    unit: Literal["h"]


class _Description(_Part):
    purpose: str
    usage: str = ""
    limitations: str = ""


class _Team(_Part):
    name: str
    role: str = "owner"


class _Document(_Part):
    apiVersion: Literal["v3.0.2"]
    kind: Literal["DataContract"]
    id: str
    name: str
    version: str
    status: Literal["active", "draft", "deprecated"]
    domain: str
    description: _Description
    team: list[_Team] = Field(min_length=1)
    table_schema: list[_Schema] = Field(alias="schema", min_length=1, max_length=1)
    customProperties: list[_Custom] = []
    slaProperties: list[_Sla] = []


def parse(text: str, *, where: str) -> Contract:
    """The contract in `text`. Raises ContractError with `where`, the field and the reason."""
    try:
        document = _Document.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise ContractError(f"{where} is not valid YAML: {error}") from error
    except ValidationError as error:
        lines = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ContractError(f"{where}: {lines}") from error
    table = document.table_schema[0]
    layer, _, name = table.physicalName.partition(".")
    if layer not in LAYERS or name != table.name or document.id != table.physicalName:
        raise ContractError(
            f"{where}: id and physicalName must both be <bronze|silver|gold>.{table.name}, not {table.physicalName!r}"
        )
    custom = {item.property: item.value for item in document.customProperties}
    keys = sorted((p for p in table.properties if p.primaryKey), key=lambda p: p.primaryKeyPosition)
    partitions = sorted((p for p in table.properties if p.partitioned), key=lambda p: p.partitionKeyPosition)
    typed_layer: Layer = next(known for known in LAYERS if known == layer)
    return Contract(
        layer=typed_layer,
        table=name,
        source=document.domain,
        title=document.name,
        description=document.description.purpose,
        owner=document.team[0].name,
        columns=tuple(
            Column(
                name=p.name,
                type=p.physicalType,
                required=p.required,
                description=p.description,
                classification=p.classification,
            )
            for p in table.properties
        ),
        key=tuple(p.name for p in keys),
        partitions=tuple(p.name for p in partitions),
        rules=tuple(Rule(name=q.name, expression=q.implementation, description=q.description) for q in table.quality),
        threshold=float(custom.get("quarantineThreshold", 0.0)),
        format=custom.get("format", "delta"),
        inputs=tuple(custom.get("inputs", ())),
        columns_of=custom.get("columnsOf", ""),
        fresh_hours=next((s.value for s in document.slaProperties if s.property == "latency"), None),
    )


def load_all(directory: Path = CONTRACTS_DIR) -> dict[str, Contract]:
    """Every contract by table name, sorted; with `columnsOf`, the columns are those of another table. Raises ContractError."""
    found = [parse(path.read_text(), where=f"contracts/{path.name}") for path in sorted(directory.glob("*.odcs.yaml"))]
    contracts = {contract.name: contract for contract in sorted(found, key=lambda c: c.name)}
    for name, contract in contracts.items():
        if contract.columns_of:
            if contract.columns_of not in contracts:
                raise ContractError(f"{name}: columnsOf names {contract.columns_of}, which has no contract")
            contracts[name] = replace(contract, columns=contracts[contract.columns_of].columns)
    return contracts
