"""Judges' replies kept across runs, so that an edited class list asks only the questions that are new."""

import asyncio
import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

from .. import paths
from ..errors import NegRefineError
from ..judge import Judge, Question, Reply
from ..records import Subject, now
from .wording import Wording


class CachedJudge:
    """A judge whose replies are kept by (its identity, all that it was told), each as soon as it is given.

    Safe to delete; several processes may share it. A reply that cannot be kept is only asked again another time.
    """

    def __init__(self, judge: Judge, path: Path | None = None) -> None:
        self.judge = judge
        self.identity = judge.identity
        self.concurrency = judge.concurrency
        self.wording: Wording = getattr(judge, "wording", None) or Wording()  # some know no words but the paper's
        self.path = path or paths.CACHE / "verdicts.sqlite"
        self._replies: sqlite3.Connection | None = None
        self._opened = False

    def __repr__(self) -> str:
        return f"CachedJudge({self.identity})"

    def cached(self, questions: Iterable[Question]) -> dict[Subject, Reply]:
        """The kept replies, by what was asked."""
        with contextlib.closing(self._connect()) as replies:
            with contextlib.suppress(sqlite3.Error):  # a full disk: each look is by itself then
                replies.execute("BEGIN")  # one look, and one commit of the checks that old replies lack
            found = {question.subject: self._find(replies, self.wording.text(question)) for question in questions}
            with contextlib.suppress(sqlite3.Error):  # a full disk: they get them another time
                replies.execute("COMMIT")
        return {subject: reply for subject, reply in found.items() if reply}

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
        told = self.wording.text(question)
        earlier = self._find(self._replies, told)
        if earlier:
            return earlier
        async with self._opening:
            if not self._opened:
                await self.judge.open()
                self._opened = True
        reply = replace(await self.judge.ask(question), time=now())
        if reply.malformed:
            return reply
        with contextlib.suppress(sqlite3.Error):  # a full disk must not cost the reply, which goes on to the run
            self._keep(self._replies, told, reply)
        return reply

    def keep(self, replies: Mapping[str, Reply]) -> None:
        """Keep replies that were given another way, by all that the judge was told: all of them or none.

        Raises NegRefineError where they cannot be kept.
        """
        try:
            with contextlib.closing(self._connect()) as kept:
                kept.execute("BEGIN")
                for told, reply in replies.items():
                    self._keep(kept, told, reply)
                kept.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._broken(error) from error

    def _keep(self, replies: sqlite3.Connection, told: str, reply: Reply) -> None:
        key, text = (self.identity, told), json.dumps(asdict(reply))
        replies.execute("INSERT OR REPLACE INTO replies VALUES (?, ?, ?, ?)", (*key, text, _check(*key, text)))

    def _connect(self) -> sqlite3.Connection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            replies = sqlite3.connect(self.path, timeout=60, isolation_level=None)  # each statement commits
            replies.execute("PRAGMA journal_mode = WAL")
            replies.execute("PRAGMA synchronous = NORMAL")
            replies.execute(
                "CREATE TABLE IF NOT EXISTS replies (judge TEXT, prompt TEXT, reply TEXT NOT NULL, "
                '"check" TEXT, PRIMARY KEY (judge, prompt)) WITHOUT ROWID'
            )
            _add_column(replies, "replies", "check", "TEXT")
        except (sqlite3.Error, OSError) as error:
            raise self._broken(error) from error
        return replies

    def _find(self, replies: sqlite3.Connection, told: str) -> Reply | None:
        """The kept reply; None where there is none or it is damaged, and is to be asked again."""
        key = (self.identity, told)
        try:
            row = replies.execute(
                'SELECT CAST(reply AS BLOB), CAST("check" AS BLOB) FROM replies WHERE judge = ? AND prompt = ?', key
            ).fetchone()
        except sqlite3.Error as error:
            raise self._broken(error) from error
        if not row:
            return None
        try:
            text, check = row[0].decode(), row[1] and row[1].decode()
            if check is not None and check != _check(*key, text):
                return None
            reply = Reply(**json.loads(text))
        except (ValueError, TypeError):  # no text, no JSON, or not a reply's
            return None
        if check is None:  # it was kept before replies had checks
            with contextlib.suppress(sqlite3.Error):
                replies.execute(
                    'UPDATE replies SET "check" = ? WHERE judge = ? AND prompt = ? AND "check" IS NULL',
                    (_check(*key, text), *key),
                )
        return reply

    def _broken(self, error: Exception) -> NegRefineError:
        return NegRefineError(
            f"cannot use the verdict cache {self.path} ({error}); free some space if the disk is full, "
            "else delete it and run again: the questions are asked anew"
        )


def _check(judge: str, told: str, reply: str) -> str:
    """What tells a kept reply from a damaged one, or from another question's."""
    return hashlib.blake2b(json.dumps([judge, told, reply]).encode(), digest_size=8).hexdigest()


def _add_column(database: sqlite3.Connection, table: str, column: str, declaration: str) -> None:
    """Add a column where the table lacks it; another process may do the same."""
    if _has(database, table, column):
        return
    database.execute("BEGIN IMMEDIATE")
    if not _has(database, table, column):  # no other process was quicker
        database.execute(f'ALTER TABLE {table} ADD COLUMN "{column}" {declaration}')
    database.commit()


def _has(database: sqlite3.Connection, table: str, column: str) -> bool:
    return column in [found[1] for found in database.execute(f"PRAGMA table_info({table})")]
