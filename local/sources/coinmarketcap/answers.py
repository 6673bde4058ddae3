"""Answers of the API that somebody kept in files, served as they are: one per listing, oldest first, the last one ever again."""

import json
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local.sources.coinmarketcap import parameters
from local.sources.coinmarketcap.choice import ChoiceError, Files
from local.sources.coinmarketcap.damage import backdated
from local.sources.coinmarketcap.envelope import Answer, dump, envelope, iso, status
from local.sources.coinmarketcap.errors import NOT_FOUND
from local.sources.coinmarketcap.progress import Progress


class Ignored(ValueError):
    """A file is no answer; the text says why."""


@dataclass(frozen=True, order=True)
class Kept:
    """One file with an answer; file: relative to the directory."""

    made: datetime
    file: str
    path: Path


class KeptAnswers:
    """Raises ChoiceError when no file below the directory holds an answer and `check` is wanted."""

    def __init__(self, choice: Files, progress: Progress, *, check: bool) -> None:
        self._directory, self._progress = choice.directory, progress
        self._lock = threading.Lock()
        self._known: dict[tuple[str, int, int], datetime | str] = {}
        if check and not (found := self._look())[0]:
            reasons = "; ".join(f"{file}: {reason}" for file, reason in found[1].items())
            raise ChoiceError(f"no JSON answer that holds data below {self._directory}{f' ({reasons[:2000]})' if reasons else ''}")

    def listing(self, _version: int, query: parameters.Listing, *, advance: bool, minutes_ago: int = 0) -> Answer:
        """The answer whole, whatever the version and the limit; a further page holds nothing. Raises OSError."""
        with self._lock:
            kept = self._next() if query.start == 1 else self._last()
            body = kept.path.read_bytes()
            if query.start == 1 and advance:
                self._progress.answered(self._directory, timestamp=iso(kept.made), file=kept.file)
        if minutes_ago:
            body = backdated(body, minutes_ago)
        if query.start > 1:
            head = json.loads(body)["status"]
            return Answer(envelope({**head, "credit_count": 0}, b"[]"), 0)
        return Answer(body, 1)

    def quotes(self, _version: int, _query: parameters.Quotes) -> Answer:
        """Raises PlainError: files answer listings alone."""
        raise NOT_FOUND

    def map(self, query: parameters.Map) -> Answer:
        """Coins of the last listing, all active: files know of nobody that is not."""
        with self._lock:
            kept = self._last()
        coins = _coins(json.loads(kept.path.read_bytes())["data"]) if "active" in query.statuses else []
        wanted = [coin for coin in coins if not query.symbols or coin.get("symbol") in query.symbols]
        page = sorted(wanted, key=lambda coin: int(coin["id"]))[query.start - 1 : query.start - 1 + query.limit]
        more = {"is_active": 1, "status": "active"}
        data = [
            {"id": coin["id"], "rank": coin.get("cmc_rank"), **{name: coin.get(name) for name in ("name", "symbol", "slug")}}
            | {name: value for name, value in more.items() if name in query.aux}
            for coin in page
        ]
        return self._answer(kept.made, data)

    def key_info(self, data: dict[str, Any]) -> Answer:
        return self._answer(datetime.now(UTC), data)

    def report(self) -> dict[str, Any]:
        """What GET /_control shows beside the choice: the answers in their order, and why each other file is none."""
        try:
            with self._lock:
                answers, ignored = self._look()
        except OSError as error:
            return {"answers": [], "served": None, "ignored": [{"file": str(self._directory), "reason": str(error)}]}
        last = self._progress.answer(self._directory)
        return {
            "answers": [{"file": kept.file, "timestamp": iso(kept.made)} for kept in answers],
            "served": None if last is None else {"file": last[1], "timestamp": last[0]},
            "ignored": [{"file": file, "reason": reason} for file, reason in ignored.items()],
        }

    def _answer(self, made: datetime, data: Any) -> Answer:
        return Answer(envelope(status(1, timestamp=iso(made), elapsed=1, credits=0), dump(data)), 0)

    def _next(self) -> Kept:
        answers = self._answers()
        last = self._progress.answer(self._directory)
        return next((kept for kept in answers if last is None or (iso(kept.made), kept.file) > last), answers[-1])

    def _last(self) -> Kept:
        answers = self._answers()
        last = self._progress.answer(self._directory)
        return next((kept for kept in reversed(answers) if last is not None and (iso(kept.made), kept.file) <= last), answers[0])

    def _answers(self) -> list[Kept]:
        answers, _ = self._look()
        if not answers:
            raise FileNotFoundError(f"no JSON answer that holds data is left below {self._directory}")
        return answers

    def _look(self) -> tuple[list[Kept], dict[str, str]]:
        """Answers, oldest first, and the reason why each other file is none. Raises OSError when the directory is gone."""
        if not self._directory.is_dir():
            raise FileNotFoundError(f"the directory that is served is gone: {self._directory}")
        answers, ignored = [], {}
        for path in sorted(path for path in self._directory.rglob("*") if path.is_file()):
            relative = path.relative_to(self._directory)
            if any(part.startswith(".") for part in relative.parts):
                continue
            found = self._made(path)
            if isinstance(found, str):
                ignored[relative.as_posix()] = found
            else:
                answers.append(Kept(found, relative.as_posix(), path))
        return sorted(answers), ignored

    def _made(self, path: Path) -> datetime | str:
        """When the answer in a file was made, or why the file holds none. Read again only when the file changed."""
        stat = path.stat()
        key = (str(path), stat.st_size, stat.st_mtime_ns)
        if key not in self._known:
            try:
                self._known[key] = _made(path)
            except (Ignored, OSError) as error:
                self._known[key] = str(error)
        return self._known[key]


def _made(path: Path) -> datetime:
    """Raises Ignored, OSError."""
    if path.suffix.lower() != ".json":
        raise Ignored("no *.json file")
    try:
        answer = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise Ignored(f"no JSON: {error}") from error
    if not isinstance(answer, dict) or not isinstance(answer.get("data"), list | dict):
        raise Ignored("no JSON object with data")
    head = answer.get("status")
    try:
        made = datetime.fromisoformat(head["timestamp"])  # type: ignore[index]
    except (TypeError, KeyError, ValueError) as error:
        raise Ignored("no status.timestamp in ISO 8601") from error
    return made.replace(tzinfo=made.tzinfo or UTC)


def _coins(data: Any) -> list[dict[str, Any]]:
    """The coins of a listing, or of quotes by id, or of quotes by symbol, where several may share one."""
    if isinstance(data, dict):
        data = [coin for value in data.values() for coin in (value if isinstance(value, list) else [value])]
    return [coin for coin in data if isinstance(coin, dict) and "id" in coin]
