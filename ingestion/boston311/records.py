"""How far a CSV (RFC 4180) has been read: lines, records, fields of the last one. Nothing of it is kept but a few numbers."""

import re
from typing import Literal

from pydantic import BaseModel

# Where the next byte stands: at the beginning of a record or of a field, inside a field, inside quotes, or behind a quote inside
# quotes, which ends them unless another follows.
Place = Literal["record", "field", "plain", "quoted", "quote"]
# For each place a letter that leads to it; and a quote that neither begins nor ends a field, in a text in which each quoted piece
# is but one quote. The quote stands first in the pattern, so that it is found fast.
_BEFORE: dict[Place, bytes] = {"record": b"\n", "field": b",", "plain": b"x", "quoted": b'"', "quote": b'"'}
_STRAY = re.compile(rb'"(?:(?<=[^,\n"]")|(?=[^,\r\n"]))')


class Records(BaseModel):
    """What is known of a CSV up to some byte.

    header: names of the first record, [] until it is read; records: those that a line break ended; lines: line breaks;
    commas: in the last record so far; opened: the line on which the last quotes opened; pending: hex of a character's first bytes.
    """

    header: list[str] = []
    records: int = 0
    lines: int = 0
    place: Place = "record"
    commas: int = 0
    opened: int = 0
    pending: str = ""

    @property
    def rows(self) -> int:
        """Records after the header, the unfinished one included."""
        return max(0, self.records + (self.place != "record") - 1)

    def read(self, chunk: bytes) -> None:
        pieces = chunk.split(b'"')
        within = self.place == "quoted"  # what is within quotes and what without takes turns
        ends_within = within ^ (len(pieces) % 2 == 0)
        without = b'"'.join(pieces[within::2])
        if _STRAY.search(_BEFORE[self.place] + without + b'"' * ends_within):
            self._read_by_quote(pieces)
            return
        doubled = self.place == "quote" and not pieces[0]
        self._count(without)
        self.lines += chunk.count(b"\n") - without.count(b"\n")
        if ends_within:
            self.opened = self._opening(pieces, doubled=doubled) or self.opened
            self.place = "quoted"
        elif len(pieces) > 1 and not pieces[-1]:
            self.place = "quote"

    def _opening(self, pieces: list[bytes], *, doubled: bool) -> int:
        """The line of the quote that is still open, 0 if it is of an earlier chunk. doubled: so may be the first of `pieces`."""
        n = len(pieces) - 1
        after = pieces[n].count(b"\n")
        while n > 1 and not pieces[n - 1]:  # nothing between two quotes: a doubled one
            n -= 2
            after += pieces[n].count(b"\n")
        return 0 if n == 0 or (n == 1 and doubled) else self.lines - after + 1

    def _read_by_quote(self, pieces: list[bytes]) -> None:
        """The same where quotes stand inside a field that does not begin with one: there they are letters."""
        for n, piece in enumerate(pieces):
            if n:
                match self.place:
                    case "record" | "field":
                        self.place, self.opened = "quoted", self.lines + 1
                    case "quoted":
                        self.place = "quote"
                    case "quote":
                        self.place = "quoted"
            if self.place == "quoted":
                self.lines += piece.count(b"\n")
            else:
                self._count(piece)

    def _count(self, text: bytes) -> None:
        """`text`, which stands outside of quotes."""
        if not text:
            return
        last = text.rfind(b"\n") + 1
        if last:
            ended = text.count(b"\n")
            self.records += ended
            self.lines += ended
            self.commas = 0
        self.commas += text.count(b",", last)
        self.place = "record" if last == len(text) else "field" if text.endswith(b",") else "plain"
