"""`make bench`: a line a measure, the figure and its ratio to the alternative, both taken in this run.

`python -m bench demo history` takes only these. Each starts laptop clouds of its own on free ports.
"""

import sys
from collections.abc import Callable, Iterable

from bench.coins import coins_load
from bench.demo import demo
from bench.history import history
from bench.ingestion import ingestion_memory
from bench.replication import commit_to_bronze

MEASURES: dict[str, Callable[[], Iterable[str]]] = {
    "demo": demo,
    "ingestion": ingestion_memory,
    "history": history,
    "coins": coins_load,
    "replication": commit_to_bronze,
}


def main() -> None:
    for name in sys.argv[1:] or MEASURES:
        for text in MEASURES[name]():
            print(text, flush=True)


if __name__ == "__main__":
    main()
