"""Which tables a contract stands for in the catalogue and in its bucket."""

from lake.contracts import Contract


def table_names(contract: Contract) -> list[str]:
    """The table, and its quarantine if it has one."""
    return [contract.table, contract.quarantine] if contract.is_judged else [contract.table]
