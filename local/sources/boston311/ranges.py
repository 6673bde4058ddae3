"""Conditional and partial requests (RFC 9110), as S3 answers them."""


class Unsatisfiable(ValueError):
    """The range begins after the end."""


def same_version(header: str | None, etag: str) -> bool:
    """Whether an If-None-Match names this version."""
    if header is None:
        return False
    return any(tag.strip().removeprefix("W/") in ("*", etag) for tag in header.split(","))


def span(header: str | None, size: int) -> tuple[int, int] | None:
    """(first byte, byte after the last) of a Range header; None = the whole: no header, several ranges, or one not understood.

    Raises Unsatisfiable.
    """
    unit, _, spec = (header or "").partition("=")
    first, dash, last = spec.strip().partition("-")
    if unit.strip().lower() != "bytes" or not dash or not (first + last).isdecimal():
        return None
    if not first:
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(int(last) + 1 if last else size, size)
        if last and int(last) < start:
            return None
    if start >= stop:
        raise Unsatisfiable(header)
    return start, stop
