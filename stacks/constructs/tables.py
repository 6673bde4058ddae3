"""Which tables a contract stands for in the catalogue and in its bucket."""

from lake.contracts import Contract


def table_names(contract: Contract) -> list[str]:
    """The table, and in silver, where rows are judged, its quarantine; rows of another table's columns were judged there."""
    judged = contract.layer == "silver" and not contract.columns_of
    return [contract.table, contract.quarantine] if judged else [contract.table]
