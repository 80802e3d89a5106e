"""A model server that misbehaves in many ways while a run is refined, and whether anything is lost by it."""

import json
import random
import tempfile
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from negrefine_core import pipeline
from negrefine_core.errors import NegRefineError
from negrefine_core.judges.openai import OpenAIJudge
from negrefine_core.mining import Negative
from negrefine_core.runs import Run, Settings
from tests.support.jobs import HANG
from tests.support.loopback_server import Action, LoopbackServer
from tests.support.refine_child import HashEncoder

AT_ONCE = {"retry-after-ms": "1"}
MISBEHAVIOURS: Mapping[str, Action] = {
    "dies": Action(die=True),
    "hangs": Action(hang=True),
    "drips": Action(drip=0.05),
    "cuts its answers": Action(cut=10),
    "is busy and says for how long": Action(status=429, headers=AT_ONCE),
    "is busy": Action(status=429),
    "fails": Action(status=500, headers=AT_ONCE),
    "is overloaded": Action(status=503, headers=AT_ONCE),
    "refuses the key": Action(status=401),
    "forgets its model": Action(status=404),
    "redirects in a circle": Action(status=307, headers={"location": "/v1/chat/completions"}),
    "shows a page": Action(body="<html>Yes, log in</html>"),
    "sends half of its JSON": Action(body='{"choices": [{"message": {"content": "Yes'),
    "sends no choice": Action(body='{"choices": []}'),
    "sends no content": Action(body='{"choices": [{"message": {"content": null}}]}'),
    "sends a number": Action(body='{"choices": [{"message": {"content": 1}}]}'),
    "sends a list": Action(body="[1, 2]"),
    "fails with half a character": Action(status=400, body=json.dumps({"error": {"message": "\ud800"}})),
}
SLOW = ("hangs", "drips")
IDS = ["cat", "dog", "owl"]
WORDS = [f"word{letter}" for letter in "abcdefghijkl"]


@dataclass(frozen=True)
class Trial:
    """A misbehaviour tried: "equal" where nothing was noticed, "clear" where one clear line was said; in both nothing
    is lost, and the run goes on to what an undisturbed one is. `detail` says what is wrong where it is not so."""

    name: str
    outcome: Literal["equal", "clear", "wrong", "traceback"]
    detail: str = ""
    kind: ClassVar[str] = "server"


def trials(seed: int, count: int) -> Iterator[Trial]:
    """As many trials, each misbehaviour in its turn, at moments drawn with the seed."""
    draw = random.Random(seed)  # noqa: S311 - moments, not secrets
    with tempfile.TemporaryDirectory(prefix="negrefine-servers-") as folder:
        calm = _run(Path(folder), "calm")
        with LoopbackServer(_proper) as server:
            _refine(calm, server)
        names = sorted(MISBEHAVIOURS)
        for i in range(count):
            yield _trial(_run(Path(folder), f"run{i}"), calm, names[(seed + i) % len(names)], draw)


def _trial(run: Run, calm: Run, name: str, draw: random.Random) -> Trial:
    start, share, retries = draw.randrange(30), draw.choice([0.03, 0.3, 1.0]), draw.choice([0, 0, 1])
    answered: set[str] = set()

    def behave(prompt: str) -> Action:
        if len(server.asked) > start and draw.random() < share:
            return MISBEHAVIOURS[name]
        answered.add(prompt)
        return _proper(prompt)

    said, server = "", LoopbackServer(behave)
    try:
        with server:
            try:
                _refine(run, server, 0.5 if name in SLOW else HANG, 0 if name in SLOW else retries)
            except NegRefineError as error:
                said = str(error)
            kept = {verdict.prompt for verdict in run.verdicts if not verdict.malformed}
            server.behave, server.asked = _proper, []
            _refine(run, server)
            again = {prompt for _, prompt in server.asked}
    except Exception:
        return Trial(name, "traceback", traceback.format_exc())
    if said and ("is kept: start it again to go on" not in said or "\n" in said):
        return Trial(name, "wrong", f"it is not clear how to go on: {said!r}")
    if name not in SLOW and not answered <= kept:
        return Trial(name, "wrong", f"answers were lost: {sorted(answered - kept)}")
    if kept & again:
        return Trial(name, "wrong", f"asked again: {sorted(kept & again)}")
    if run.negatives != calm.negatives or run.info.permutation != calm.info.permutation:
        return Trial(name, "wrong", "the refined run differs from an undisturbed one")
    if not _said(calm) <= _said(run):
        return Trial(name, "wrong", f"verdicts are lacking: {sorted(_said(calm) - _said(run))}")
    return Trial(name, "clear" if said else "equal", said)


def _proper(prompt: str) -> Action:
    """Yes to about one question in six, always the same ones."""
    return Action("Yes" if sum(prompt.encode()) % 6 == 0 else "No")


def _run(folder: Path, name: str) -> Run:
    run = Run.create(name, Settings(n_groups=2), IDS, folder)
    run.write_initial_negatives(Negative(word, "noun", 0.1) for word in WORDS)
    return run


def _refine(run: Run, server: LoopbackServer, timeout: float = HANG, retries: int = 0) -> None:
    judge = OpenAIJudge("m", server.url, api_key="sk-secret", concurrency=4, timeout=timeout, retries=retries)
    judge.identity = "openai:m"  # on whatever port
    pipeline.refine(run, HashEncoder(), judge)  # type: ignore[arg-type]


def _said(run: Run) -> set[tuple[str, str]]:
    """Questions and replies; where one was malformed at first, more was asked than an undisturbed run asks."""
    return {(verdict.prompt, verdict.reply) for verdict in run.verdicts if not verdict.malformed}
