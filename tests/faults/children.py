"""Work in a forked process, whose end is told: done, one clear line, a traceback, killed or hung."""

import contextlib
import os
import pickle
import select
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from negrefine_core.errors import NegRefineError

HANG = 600.0  # seconds; far more than any step here takes, also where others compute on every core

End = Literal["done", "clear", "traceback", "killed", "hung"]


@dataclass(frozen=True)
class Ended:
    """How a process ended: `said` is the clear line or the traceback, `value` what its work returned."""

    how: End
    said: str = ""
    value: Any = None


class Child:
    """A forked process that does `work`. It may tell its parent a byte at a time, and wait for one."""

    def __init__(self, work: Callable[["Child"], object]) -> None:
        self._told, self._tell = os.pipe()
        self._heard, self._answer = os.pipe()
        self._result, result = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _be_child(self, work, result)
        os.close(result)
        os.close(self._tell)
        os.close(self._heard)
        self._pieces: list[bytes] = []
        self.ended: Ended | None = None

    # --- in the child

    def tell(self, byte: bytes) -> None:
        os.write(self._tell, byte)

    def wait_for_answer(self) -> None:
        os.read(self._heard, 1)

    # --- in the parent

    def answer(self) -> None:
        with contextlib.suppress(BrokenPipeError):  # it has ended meanwhile
            os.write(self._answer, b"!")

    def until_told(self, seconds: float) -> str:
        """The next byte that the child tells; "" when it has ended or nothing comes."""
        deadline = time.monotonic() + seconds
        while not self.ended:
            left = max(0.0, deadline - time.monotonic())
            ready, _, _ = select.select([self._told, self._result], [], [], left)
            if self._told in ready and (byte := os.read(self._told, 1)):
                return byte.decode()
            if self._result in ready:
                self._read_result()
            elif not ready:
                return ""
        return ""

    def end(self, seconds: float = HANG) -> Ended:
        """Wait for its end; a process that does not end is killed, and called hung."""
        deadline = time.monotonic() + seconds
        while not self.ended:
            ready, _, _ = select.select([self._result], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                os.kill(self.pid, signal.SIGKILL)
                self._read_result(Ended("hung", f"nothing in {seconds:.0f} seconds"))
            elif self._read_result():
                break
        assert self.ended
        return self.ended

    def _read_result(self, instead: Ended | None = None) -> bool:
        """Whether it has ended."""
        piece = b"" if instead else os.read(self._result, 1 << 20)
        if piece:
            self._pieces.append(piece)
            return False
        os.waitpid(self.pid, 0)
        content = b"".join(self._pieces)
        self.ended = instead or (pickle.loads(content) if content else Ended("killed"))  # noqa: S301 - our own child's
        for file in (self._told, self._answer, self._result):
            os.close(file)
        return True


def forked(work: Callable[[], object], seconds: float = HANG) -> Ended:
    """Do the work in a process of its own, to its end."""
    return Child(lambda _: work()).end(seconds)


def _be_child(child: Child, work: Callable[[Child], object], result: int) -> None:
    """Never returns. What the work prints is nobody's."""
    plain_write = os.write  # the work may wrap it
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        try:
            ended = Ended("done", value=work(child))
        except NegRefineError as error:
            ended = Ended("clear", str(error))
        except BaseException:
            ended = Ended("traceback", traceback.format_exc())
        content = pickle.dumps(ended)
        while content:
            content = content[plain_write(result, content) :]
    finally:
        os._exit(0)
