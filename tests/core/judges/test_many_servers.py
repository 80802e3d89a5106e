"""Two model servers behind the README's HAProxy configuration, one of which is killed in the middle of a refinement.

`python -m tests.core.judges.test_many_servers 2000 64` measures it: so many labels, so many in flight.
"""

import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from negrefine_core import pipeline
from negrefine_core.judges.openai import OpenAIJudge
from negrefine_core.mining import Negative
from negrefine_core.runs import Run, Settings
from tests.support.jobs import until
from tests.support.project import ROOT
from tests.support.refine_child import HashEncoder

DELAY = 0.1  # seconds a reply
HAPROXY = shutil.which("haproxy")


@dataclass
class Server:
    """A model server in a process of its own, and the file of what it was asked."""

    process: "subprocess.Popen[str]"
    url: str
    log: Path

    @property
    def asked(self) -> list[str]:
        return self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []


@contextmanager
def server(log: Path) -> Iterator[Server]:
    command = [sys.executable, "-m", "tests.support.loopback_server", str(DELAY), str(log)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield Server(process, process.stdout.readline().strip(), log)
        finally:
            process.kill()


@contextmanager
def proxy(folder: Path, servers: list[Server]) -> Iterator[str]:
    """The README's configuration, with these servers in the place of its own: the base URL."""
    (lines,) = re.findall(r"```haproxy\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for theirs, ours in zip(re.findall(r"server gpu\d (\S+)", lines), servers, strict=True):
        lines = lines.replace(theirs, urlsplit(ours.url).netloc)
    file = folder / "haproxy.cfg"
    file.write_text(re.sub(r"(bind \S+:)\d+", rf"\g<1>{port}", lines), encoding="utf-8")
    with subprocess.Popen([str(HAPROXY), "-f", str(file)], stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: _listens(port))
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.kill()


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@dataclass(frozen=True)
class Outcome:
    """How often each question was asked, how many verdicts there are, and the seconds from the first to the last."""

    asked: Counter[str]
    asked_of_each: list[int]
    verdicts: int
    seconds: float


def refine_with_a_kill(folder: Path, labels: int, in_flight: int) -> Outcome:
    """Refine a run of so many labels with two servers, and kill one of them when a third is asked."""
    run = Run.create("r", Settings(n_groups=2), ["ship"], folder)
    words = ("".join("abcdefghij"[int(digit)] for digit in f"{i:05}") for i in range(labels))
    run.write_initial_negatives(Negative(word, "noun", 0.1) for word in words)
    with ExitStack() as stack:
        servers = [stack.enter_context(server(folder / f"asked-{i}.txt")) for i in range(2)]
        url = stack.enter_context(proxy(folder, servers))

        def kill() -> None:
            until(lambda: len(servers[0].asked) >= labels / 3)
            servers[0].process.kill()

        killer = threading.Thread(target=kill, daemon=True)
        killer.start()
        start = time.perf_counter()
        pipeline.refine(run, HashEncoder(), OpenAIJudge("m", url, concurrency=in_flight))  # type: ignore[arg-type]
        seconds = time.perf_counter() - start
        killer.join()
        asked = [each.asked for each in servers]
    return Outcome(Counter(asked[0] + asked[1]), [len(each) for each in asked], len(run.verdicts), seconds)


@pytest.mark.skipif(not HAPROXY, reason="haproxy is not installed (Debian: apt-get install haproxy)")
def test_a_server_killed_behind_haproxy_costs_no_verdict_and_only_what_it_was_answering_is_asked_twice(
    tmp_path: Path,
) -> None:
    outcome = refine_with_a_kill(tmp_path, labels=120, in_flight=16)
    assert outcome.verdicts == len(outcome.asked) == 2 * 120  # proper noun? subcategory of the one class?
    assert max(outcome.asked.values()) <= 2
    assert outcome.asked.total() - len(outcome.asked) <= 16
    assert min(outcome.asked_of_each) >= 40


if __name__ == "__main__":
    count, at_once = map(int, sys.argv[1:])
    with tempfile.TemporaryDirectory() as temporary:
        done = refine_with_a_kill(Path(temporary), count, at_once)
    ideal, twice = len(done.asked) * DELAY / at_once, done.asked.total() - len(done.asked)
    print(
        f"{done.verdicts:,} verdicts in {done.seconds:.1f} s, {ideal / done.seconds:.0%} of the ideal rate; asked of "
        f"each server: {done.asked_of_each}; again: {twice}; at most {max(done.asked.values())} times"
    )
