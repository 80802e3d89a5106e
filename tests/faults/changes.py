"""Every change on disk below a folder, seen by the process itself just before it happens.

Python's audit hook sees files that are opened, renamed and removed, and folders that are made. Writes it does not see:
they are wrapped here, and so are SQLite's statements and pyarrow's Parquet writer, whose bytes never pass Python.
"""

import builtins
import io
import os
import sqlite3
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import pyarrow.parquet as pq

RENEWING = os.O_CREAT | os.O_TRUNC
# audit event -> (number of the changed path, number of its dir_fd or None, whether it needs room on the disk)
EVENTS: dict[str, tuple[int, int | None, bool]] = {
    "os.mkdir": (0, 2, True),
    "os.rename": (1, 3, False),
    "os.remove": (0, 1, False),
    "os.rmdir": (0, 1, False),
    "os.truncate": (0, None, False),
    "os.chmod": (0, 2, False),
    "os.link": (1, 3, True),
    "os.symlink": (1, 2, True),
}


@dataclass(frozen=True)
class Change:
    """What is about to happen; `half` does the first half of a write."""

    what: str
    path: str
    needs_room: bool
    half: Callable[[], object] | None = None

    def __str__(self) -> str:
        return f"{self.what} {os.path.basename(self.path)}"


Act = Callable[[Change], None]


class Changes:
    """Calls `act` before each change below `folder`, from `watch()` on to the process's end."""

    def __init__(self, folder: str | os.PathLike[str], act: Act) -> None:
        self.folder = os.path.realpath(folder)
        self.act = act
        self._inside = threading.local()

    def watch(self) -> Self:
        sys.addaudithook(self._hear)
        _wrap_files(self)
        _wrap_sqlite(self)
        _wrap_parquet(self)
        return self

    def before(self, what: str, path: str, needs_room: bool, half: Callable[[], object] | None = None) -> None:
        if getattr(self._inside, "acting", False) or not self._is_watched(path):
            return
        self._inside.acting = True
        try:
            self.act(Change(what, path, needs_room, half))
        finally:
            self._inside.acting = False

    def _is_watched(self, path: str) -> bool:
        return os.path.abspath(path).startswith(self.folder + os.sep)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if not isinstance(path, int) and flags & RENEWING and _changes(os.fsdecode(path), flags):
                self.before("open", os.fsdecode(path), needs_room=True)
        elif event in EVENTS:
            place, directory, needs_room = EVENTS[event]
            path = _path(arguments[place])
            if directory is not None and arguments[directory] != -1 and not os.path.isabs(path):
                path = os.path.join(_path(arguments[directory]), path)
            self.before(event, path, needs_room)


def _changes(path: str, flags: int) -> bool:
    return not os.path.exists(path) or (bool(flags & os.O_TRUNC) and os.path.getsize(path) > 0)


def _path(file: Any) -> str:
    """Of a path, or of a descriptor."""
    if not isinstance(file, int):
        return os.fsdecode(file)
    try:
        return os.readlink(f"/proc/self/fd/{file}")
    except OSError:
        return ""


# --- files -----------------------------------------------------------------------------------------------------------


def _wrap_files(changes: Changes) -> None:
    class Raw(io.FileIO):
        def write(self, data: Any) -> int:
            content = bytes(data)
            half = content[: len(content) // 2]
            changes.before("write", _path(self.fileno()), True, lambda: io.FileIO.write(self, half))
            return super().write(content)

        def truncate(self, size: int | None = None) -> int:
            changes.before("truncate", _path(self.fileno()), False)
            return super().truncate(size)

    plain_open, plain_write, plain_sendfile = io.open, os.write, os.sendfile

    def opened(
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        if not set(mode) & set("wax+") or buffering == 0:
            return plain_open(file, mode, buffering, encoding, errors, newline, closefd, opener)
        raw = Raw(file, mode.replace("b", "").replace("t", ""), closefd, opener)
        size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
        buffered = io.BufferedRandom(raw, size) if "+" in mode else io.BufferedWriter(raw, size)
        if "b" in mode:
            return buffered
        return io.TextIOWrapper(buffered, io.text_encoding(encoding), errors, newline, buffering == 1)

    def write(file: int, data: Any) -> int:
        changes.before("write", _path(file), True, lambda: plain_write(file, bytes(data)[: len(data) // 2]))
        return plain_write(file, data)

    def sendfile(out_fd: int, in_fd: int, offset: int | None, count: int) -> int:
        changes.before("write", _path(out_fd), True)
        return plain_sendfile(out_fd, in_fd, offset, count)

    builtins.open = io.open = opened
    os.write, os.sendfile = write, sendfile


# --- SQLite and Parquet ----------------------------------------------------------------------------------------------

READING = ("SELECT", "PRAGMA", "WITH")


def _wrap_sqlite(changes: Changes) -> None:
    def before(path: str, what: str) -> None:
        try:
            changes.before(f"sqlite {what}", path, needs_room=True)
        except OSError as error:
            raise sqlite3.OperationalError("database or disk is full") from error

    class Connection(sqlite3.Connection):
        def __init__(self, database: Any, *arguments: Any, **options: Any) -> None:
            self.path = os.fsdecode(database)
            super().__init__(database, *arguments, **options)

        def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
            word = sql.split()[0].upper()
            if word not in READING:
                before(self.path, word)
            return super().execute(sql, *arguments)

        def executemany(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
            before(self.path, sql.split()[0].upper())
            return super().executemany(sql, *arguments)

        def commit(self) -> None:
            if self.in_transaction:
                before(self.path, "COMMIT")
            super().commit()

        def __exit__(self, *error: Any) -> Any:
            if self.in_transaction and error[0] is None:
                try:
                    before(self.path, "COMMIT")
                except sqlite3.Error:
                    self.rollback()
                    raise
            return super().__exit__(*error)

    plain = sqlite3.connect

    def connect(database: Any, *arguments: Any, **options: Any) -> sqlite3.Connection:
        return plain(database, *arguments, factory=Connection, **options)

    sqlite3.connect = connect  # type: ignore[assignment] # it has overloads for options that nobody here gives


def _wrap_parquet(changes: Changes) -> None:
    """A table's pages reach the disk when it is written, the footer when the writer is closed."""
    start, write_table, close = pq.ParquetWriter.__init__, pq.ParquetWriter.write_table, pq.ParquetWriter.close

    def wrapped_start(self: Any, where: Any, *arguments: Any, **options: Any) -> None:
        self.changed = str(where) if isinstance(where, str | os.PathLike) else ""
        if self.changed and not os.path.exists(self.changed):
            changes.before("parquet open", self.changed, needs_room=True)
        start(self, where, *arguments, **options)

    def wrapped_write(self: Any, *arguments: Any, **options: Any) -> None:
        changes.before("parquet table", self.changed, needs_room=True)
        write_table(self, *arguments, **options)

    def wrapped_close(self: Any) -> None:
        if self.is_open:
            changes.before("parquet footer", self.changed, needs_room=True)
        close(self)

    pq.ParquetWriter.__init__, pq.ParquetWriter.write_table = wrapped_start, wrapped_write
    pq.ParquetWriter.close = wrapped_close
