"""`python -m local.sources.boston311.history FOLDER --rows 3000000`: the whole simulated history as plain CSV, for measurements."""

import argparse
from pathlib import Path

from local.sources.boston311.choice import DEFAULT_SEED
from local.sources.boston311.parts import YEARS, parts
from local.sources.boston311.vintages import NEW_SYSTEM


def write_history(folder: Path, rows: int, seed: int) -> list[Path]:
    """All years and the new system, `rows` in all: <year>.csv and new.csv, in which every vintage occurs.

    About 90,000 rows a second; never more than a day of one file in memory.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for part in parts(rows=rows, years=YEARS, new_system=NEW_SYSTEM, other={}):
        path = folder / f"{part.key}.csv"
        with path.open("wb") as stream:
            stream.writelines(part.blocks(seed))
        paths.append(path)
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED)
    wish = parser.parse_args()
    for path in write_history(wish.folder, wish.rows, wish.seed):
        print(path)


if __name__ == "__main__":
    main()
