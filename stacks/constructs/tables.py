"""Which tables a contract stands for in the catalogue and in its bucket."""

from lake.contracts import Contract


def table_names(contract: Contract) -> list[str]:
    """The table, and in silver, where rows are judged, its quarantine."""
    return [contract.table, contract.quarantine] if contract.layer == "silver" else [contract.table]
