"""The trials: a fault, the step again, and everything read."""

import errno
import itertools
import os
import random
import re
import resource
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from negrefine_core import paths
from tests.faults.changes import Act, Change, Changes
from tests.faults.children import forked
from tests.faults.outcome import Outcome, Verdict
from tests.faults.reading import (
    CHECKS,
    Everything,
    between,
    clear_lines,
    differing,
    leftovers,
    read_everything,
    tracebacks,
)
from tests.faults.steps import ADVICE, Step
from tests.faults.world import World

ROUNDS = 4  # clear lines that may follow each other until the work is done


# --- kill and full disk ----------------------------------------------------------------------------------------------


def listed(world: World, step: Step) -> list[Change]:
    """The changes that a step makes when nothing happens."""

    def work() -> list[tuple[str, str, bool, bool]]:
        seen: list[Change] = []
        Changes(paths.DATA, seen.append).watch()
        step.do(world)
        return [(change.what, change.path, change.needs_room, change.half is not None) for change in list(seen)]

    world.restore(step.start)
    ended = forked(work)
    if ended.how != "done":
        raise RuntimeError(f"{step.name} cannot be done even undisturbed: {ended.said}")
    return [Change(what, path, room, (lambda: None) if half else None) for what, path, room, half in ended.value]


def at(number: int, act: Act, wanted: Callable[[Change], bool] = lambda _: True, onwards: bool = False) -> Act:
    """Do something before the change of a number (from 1) of those that are wanted, or before all from it on."""
    counter = itertools.count(1)

    def acting(change: Change) -> None:
        if wanted(change):
            now = next(counter)
            if now == number or (onwards and now > number):
                act(change)

    return acting


def kill(_: Change) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_half_way(change: Change) -> None:
    if change.half:
        change.half()
    kill(change)


def no_room(change: Change) -> None:
    if change.half:
        change.half()
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), change.path)


def needs_room(change: Change) -> bool:
    return change.needs_room


@dataclass(frozen=True)
class Fault:
    """One fault in a step: what it is called, and how the process that does the step is prepared for it."""

    kind: str
    name: str
    arm: Callable[[], object]


def faults(changes: Sequence[Change]) -> Iterator[Fault]:
    """Every kill and every full disk of a step that makes these changes."""

    def armed(act: Act) -> Callable[[], object]:
        return lambda: Changes(paths.DATA, act).watch()

    for number, change in enumerate(changes, 1):
        yield Fault("kill", f"before change {number}, {change}", armed(at(number, kill)))
        if change.half:
            yield Fault("kill", f"half-way in change {number}, {change}", armed(at(number, kill_half_way)))
    for number, change in enumerate((change for change in changes if change.needs_room), 1):
        where = f"at write {number}, {change}"
        yield Fault("full disk", f"once {where}", armed(at(number, no_room, needs_room)))
        yield Fault("full disk", f"from then on {where}", armed(at(number, no_room, needs_room, onwards=True)))
    for size in (0, 16, 300, 1024, 3000, 4096, 8192, 12000, 16384, 40000):
        yield Fault("kill", f"a file is to grow beyond {size:,} bytes", partial(_limit, size, signal.SIG_DFL))
        yield Fault("full disk", f"no file grows beyond {size:,} bytes", partial(_limit, size, signal.SIG_IGN))


def _limit(size: int, what_then: signal.Handlers) -> None:
    """Bytes that never pass Python are stopped too, as SQLite's and pyarrow's."""
    signal.signal(signal.SIGXFSZ, what_then)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@dataclass(frozen=True)
class References:
    """Everything as it is read before and after an undisturbed step."""

    before: Everything
    after: Everything


def references(world: World, step: Step) -> References:
    world.restore(step.start)
    before = read(world)
    world.restore(step.start)
    ended = forked(lambda: step.do(world))
    if ended.how != "done":
        raise RuntimeError(f"{step.name} cannot be done even undisturbed: {ended.said}")
    return References(before, read(world))


def read(world: World) -> Everything:
    ended = forked(lambda: read_everything(world))
    if ended.how != "done":
        raise RuntimeError(f"cannot read: {ended.how} {ended.said}")
    found: Everything = ended.value
    return found


def disturbed(world: World, step: Step, fault: Fault, expected: References) -> Outcome | None:
    """The step with a fault, what is read then, and the step again; None where the fault did not come."""

    def outcome(verdict: Verdict, said: str = "") -> Outcome:
        return Outcome(fault.kind, step.name, fault.name, verdict, said)

    def faulty() -> None:
        fault.arm()
        step.do(world)

    world.restore(step.start)
    ended = forked(faulty)
    match ended.how:
        case "done":
            found = read(world)
            wrong = differing(found, expected.after)
            if wrong:
                return outcome("wrong", f"the step said nothing, and differs in {wrong}")
            return None if fault.kind == "kill" else outcome("equal", "the step did without")
        case "hung" | "traceback":
            return outcome(ended.how, ended.said)
    if fault.kind == "kill" and ended.how != "killed" and not step.starts_process:
        return outcome("wrong", f"not killed but {ended.how}: {ended.said}")
    return _repaired(world, step, expected, outcome)


def _repaired(world: World, step: Step, expected: References, outcome: Callable[..., Outcome]) -> Outcome:
    """What is read after a fault, and when the step has been repeated and advice followed."""
    first = forked(lambda: read_everything(world))
    if first.how != "done":
        return outcome("hung" if first.how == "hung" else "traceback", f"reading between: {first.said}")
    if bad := tracebacks(first.value):
        return outcome("traceback", f"reading between: {bad}")
    wrong = between(first.value, expected.before, expected.after)
    if wrong := [part for part in wrong if not step.has_stages or part.rpartition("/")[2] in CHECKS]:
        return outcome("wrong", f"between, without a word: {_shown(wrong, first.value, expected)}")
    told: list[str] = []
    for _ in range(ROUNDS):
        ended = forked(lambda: step.do(world))
        if ended.how in ("traceback", "hung", "killed"):
            return outcome("hung" if ended.how == "hung" else "traceback", f"the step again: {ended.said}")
        found = forked(lambda: read_everything(world))
        if found.how != "done" or tracebacks(found.value):
            return outcome("traceback", f"reading after: {found.said or tracebacks(found.value)}")
        usual = clear_lines(expected.after).values()  # metrics of former scores: said after an undisturbed step too
        lines = [ended.said] if ended.how == "clear" else list(clear_lines(found.value).values())
        lines = [line for line in lines if line not in usual]
        if not lines:
            break
        if set(lines) <= set(told):
            return outcome("wrong", f"the advice leads nowhere: {lines[0]}")
        told += lines
        advised = forked(partial(follow, world, lines[0]))
        if advised.how in ("traceback", "hung"):
            return outcome("traceback", f"following {lines[0]!r}: {advised.said}")
    if wrong := differing(found.value, expected.after):
        return outcome("wrong", f"after the step again: {_shown(wrong, found.value, expected)}")
    if left := leftovers():
        return outcome("wrong", f"left behind: {left}")
    return outcome("clear", told[0]) if told else outcome("equal")


def _shown(wrong: Sequence[str], found: Everything, expected: References) -> str:
    first = found.get(wrong[0])
    return f"{list(wrong)}; the first is {str(first and first.value)[:300]}"


def follow(world: World, said: str) -> None:
    """Do what a message says is to be done, where it is a step or a file to be deleted."""
    for words, step in ADVICE:
        if words in said:
            step(world)
            return
    if found := re.search(r"score (?:the image set|(?P<name>\w+)) again", said):
        names = [found["name"]] if found["name"] else re.findall(r"scores/(\w+)\.parquet", said)
        world.score(*names)
    elif "delete" in said:
        for name in re.findall(rf"{re.escape(str(paths.DATA))}[^\s,;:()']*", said)[:1]:
            path = Path(name)
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def step_trials(world: World, step: Step, generator: random.Random, most: int | None) -> Iterator[Outcome]:
    """A step's kills and full disks: all, or so many drawn ones."""
    expected = references(world, step)
    wanted = list(faults(listed(world, step)))
    if most is not None and len(wanted) > most:
        wanted = generator.sample(wanted, most)
    for fault in wanted:
        outcome = disturbed(world, step, fault, expected)
        if outcome:
            yield outcome
