"""Judges' replies kept across runs, so that an edited class list asks only the questions that are new."""

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import Iterable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from .. import paths
from ..errors import NegRefineError
from ..judge import SYSTEM_PROMPT, Judge, Question, Reply


class CachedJudge:
    """A judge whose replies are kept by (its identity, the exact prompt), each as soon as it is given.

    Safe to delete; several processes may share it. A reply that cannot be kept is only asked again another time.
    """

    def __init__(self, judge: Judge, path: Path | None = None) -> None:
        self.judge = judge
        self.identity = judge.identity
        self.concurrency = judge.concurrency
        self.path = path or paths.CACHE / "verdicts.sqlite"
        self._replies: sqlite3.Connection | None = None
        self._opened = False

    def __repr__(self) -> str:
        return f"CachedJudge({self.identity})"

    def cached(self, prompts: Iterable[str]) -> dict[str, Reply]:
        """The kept replies, by prompt."""
        with contextlib.closing(self._connect()) as replies:
            found = {prompt: self._find(replies, prompt) for prompt in prompts}
        return {prompt: reply for prompt, reply in found.items() if reply}

    async def open(self) -> None:
        """Open the cache; the judge itself waits for the first question that it lacks: a warm run needs no server."""
        self._replies = self._connect()
        self._opened = False
        self._opening = asyncio.Lock()

    async def close(self) -> None:
        if self._opened:
            await self.judge.close()
        if self._replies:
            self._replies.close()
        self._replies, self._opened = None, False

    async def ask(self, question: Question) -> Reply:
        if not self._replies:
            raise RuntimeError("open() the judge before asking it")
        earlier = self._find(self._replies, question.prompt)
        if earlier:
            return earlier
        async with self._opening:
            if not self._opened:
                await self.judge.open()
                self._opened = True
        reply = replace(await self.judge.ask(question), time=datetime.now(UTC).isoformat(timespec="seconds"))
        if reply.malformed:
            return reply
        with contextlib.suppress(sqlite3.Error):  # a full disk must not cost the reply, which goes on to the run
            self._replies.execute(
                "INSERT OR REPLACE INTO replies VALUES (?, ?, ?)",
                (self.identity, _exact(question.prompt), json.dumps(asdict(reply), ensure_ascii=False)),
            )
        return reply

    def _connect(self) -> sqlite3.Connection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            replies = sqlite3.connect(self.path, timeout=60, isolation_level=None)  # each statement commits
            replies.execute("PRAGMA journal_mode = WAL")
            replies.execute("PRAGMA synchronous = NORMAL")
            replies.execute(
                "CREATE TABLE IF NOT EXISTS replies (judge TEXT, prompt TEXT, reply TEXT NOT NULL, "
                "PRIMARY KEY (judge, prompt)) WITHOUT ROWID"
            )
        except (sqlite3.Error, OSError) as error:
            raise self._broken(error) from error
        return replies

    def _find(self, replies: sqlite3.Connection, prompt: str) -> Reply | None:
        try:
            row = replies.execute(
                "SELECT reply FROM replies WHERE judge = ? AND prompt = ?", (self.identity, _exact(prompt))
            ).fetchone()
            return Reply(**json.loads(row[0])) if row else None
        except (sqlite3.Error, ValueError, TypeError) as error:
            raise self._broken(error) from error

    def _broken(self, error: Exception) -> NegRefineError:
        return NegRefineError(f"cannot use the verdict cache {self.path} ({error}); delete it and run again")


def _exact(prompt: str) -> str:
    """All that the judge is told."""
    return f"{SYSTEM_PROMPT}\n{prompt}"
