"""Two processes at once: the first stops before one of its changes, the second goes on to one of its own."""

import fcntl
import itertools
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from negrefine_core import marks, overrides, paths, reviews
from negrefine_core.runs import Run
from tests.faults.changes import Change, Changes
from tests.faults.children import Child, Ended, forked
from tests.faults.outcome import Outcome, Verdict
from tests.faults.reading import Everything, clear_lines, differing, read_everything, tracebacks
from tests.faults.steps import Step
from tests.faults.trials import listed, read
from tests.faults.world import World

MOMENT = 3.0  # seconds after which a process that tells nothing is taken to wait inside SQLite


@dataclass(frozen=True)
class Pair:
    """Two steps that people may do at the same time."""

    start: str
    first: Callable[[World], object]
    second: Callable[[World], object]


def _drop(first: int, who: str) -> Callable[[World], object]:
    return lambda world: overrides.override(world.run(), world.labels("kept")[first : first + 1], "dropped", who)


def _undo(who: str) -> Callable[[World], object]:
    return lambda world: overrides.undo(world.run(), who)


def _confirm(world: World) -> None:
    overrides.confirm(world.run(), world.labels("kept")[2:4], "ivy", "fine")


def _review(who: str) -> Callable[[World], object]:
    return lambda world: reviews.decide(world.run(), who, {world.labels("kept")[6]: ("dropped", who)})


def _unmark(world: World) -> None:
    marks.unmark(world.run(), "own", "bob")


def _score(*names: str) -> Callable[[World], object]:
    return lambda world: world.score(*names)


def _role(world: World) -> None:
    world.run().set_role("food", "ID")


def _remove(world: World) -> None:
    from negrefine_core.runs import remove_image_set

    remove_image_set(world.run(), "own")


PAIRS: Mapping[str, Pair] = {
    "override, override": Pair("scored", _drop(4, "ann"), _drop(5, "bob")),
    "override, undo": Pair("scored", _drop(4, "ann"), _undo("bob")),
    "undo, undo": Pair("scored", _undo("ann"), _undo("bob")),
    "confirm, override": Pair("scored", _confirm, _drop(5, "bob")),
    "refine, refine": Pair("mined", World.refine, World.refine),
    "refine, override": Pair("refined", World.refine, _drop(4, "bob")),
    "score, override": Pair("scored", _score("animals"), _drop(4, "bob")),
    "override, score": Pair("scored", _drop(4, "bob"), _score("animals")),
    "score, score": Pair("decided", _score("animals"), _score("animals")),
    "score, score another": Pair("decided", _score("animals"), _score("food")),
    "role, score": Pair("scored", _role, _score("animals")),
    "remove, score": Pair("scored", _remove, _score("food")),
    "evaluate, override": Pair("changed", World.evaluate, _drop(7, "bob")),
    "review, merge": Pair("scored", _review("ann"), lambda world: reviews.merge(world.run())),
    "review, review": Pair("scored", _review("ann"), _review("bob")),
    "mark, mark": Pair("scored", lambda world: world.mark(2, True, "ann"), lambda world: world.mark(3, False, "bob")),
    "mark, take back": Pair("scored", lambda world: world.mark(2, True, "ann"), _unmark),
    "mine, mine": Pair("created", lambda world: world.mine(), lambda world: world.mine()),
    "create, create": Pair("empty", World.create, World.create),
    "create, create otherwise": Pair("empty", World.create, lambda world: world.create(ids=("fox", "elk"))),
    "copy, override": Pair("scored", lambda world: Run.copy(world.run(), "copied"), _drop(4, "bob")),
}


def pair_trials(world: World, name: str, generator: random.Random, most: int) -> Iterator[Outcome]:
    """Drawn points of the two steps; each point is one trial."""
    pair = PAIRS[name]
    serial = _in_turn(world, pair)
    firsts = len(listed(world, Step(name, pair.start, pair.first)))
    seconds = len(listed(world, Step(name, pair.start, pair.second)))
    points = list(itertools.product(range(1, firsts + 1), range(1, seconds + 2)))
    for i, j in generator.sample(points, min(most, len(points))):
        yield _interleaved(world, name, pair, serial, i, j)


@dataclass(frozen=True)
class Serial:
    """What is read after one order of the two; `done` says which of them were."""

    done: tuple[bool, bool]
    found: Everything


def _in_turn(world: World, pair: Pair) -> list[Serial]:
    """Both orders, each step alone, and neither."""
    results = []
    for order in ((0, 1), (1, 0), (0,), (1,), ()):
        world.restore(pair.start)
        done = [False, False]
        for number in order:
            step = (pair.first, pair.second)[number]
            done[number] = forked(partial(step, world)).how == "done"
        results.append(Serial((done[0], done[1]), read(world)))
    return results


def _interleaved(world: World, name: str, pair: Pair, serial: list[Serial], i: int, j: int) -> Outcome:
    def outcome(verdict: Verdict, said: str = "") -> Outcome:
        return Outcome("two at once", name, f"stopped at {i}, {j}", verdict, said)

    world.restore(pair.start)
    first = _stopping(world, pair.first, i)
    first.until_told(60)  # it has stopped, or ended
    second = _stopping(world, pair.second, j)
    second.until_told(MOMENT)  # it has stopped, waits for the first, or ended
    first.answer() if not first.ended else None
    ends = _both(first, second)
    if bad := [ended for ended in ends if ended.how in ("traceback", "hung", "killed")]:
        return outcome("hung" if bad[0].how == "hung" else "traceback", bad[0].said)
    read_now = forked(lambda: read_everything(world))
    if read_now.how != "done" or tracebacks(read_now.value):
        return outcome("traceback", read_now.said or str(tracebacks(read_now.value)))
    done = tuple(ended.how == "done" for ended in ends)
    allowed = [each.found for each in serial if each.done == done]
    differences = [differing(read_now.value, reference) for reference in allowed]
    if allowed and all(differences):
        return outcome("wrong", f"done: {done}; differs from every order in {min(differences, key=len)}")
    told = [ended.said for ended in ends if ended.how == "clear"] + list(clear_lines(read_now.value).values())
    return outcome("clear", told[0]) if told else outcome("equal")


def _both(first: Child, second: Child) -> tuple[Ended, Ended]:
    """Let the first go on until it ends or waits for the second, then the second, then both to their ends."""
    for _ in range(3):
        if first.ended or first.until_told(MOMENT) in ("w", ""):
            break
    if not second.ended:
        second.answer()
    return first.end(), second.end()


def _stopping(world: World, step: Callable[[World], object], number: int) -> Child:
    """A process that tells "s" and stops before the change of a number, and tells "w" when it waits for a lock."""

    def work(child: Child) -> None:
        counter = itertools.count(1)
        plain_lock = fcntl.flock

        def act(_: Change) -> None:
            if next(counter) == number:
                child.tell(b"s")
                child.wait_for_answer()

        def lock(file: Any, operation: int) -> None:
            try:
                plain_lock(file, operation)
            except BlockingIOError:
                child.tell(b"w")
                raise

        fcntl.flock = lock
        Changes(paths.DATA, act).watch()
        step(world)

    return Child(work)
