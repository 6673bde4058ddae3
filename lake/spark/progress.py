"""What a job says of its progress, in its log."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def told(what: str) -> Iterator[None]:
    """One line with the seconds that it took."""
    started = time.perf_counter()
    yield
    print(f"{what} in {time.perf_counter() - started:.1f} s", flush=True)
