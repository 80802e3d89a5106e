"""The trials shared out among processes, each with a data folder of its own."""

import multiprocessing
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults.outcome import Outcome

if TYPE_CHECKING:  # importing it needs a data folder
    from tests.faults.world import World

KINDS = ("step", "damage", "pair", "server")
PAIR_POINTS, SERVER_TRIALS = 40, 72
Group = tuple[str, str]  # kind and name: what one process tries in one go

_worlds: list["World"] = []  # this process's one


def nothing_shown(group: Group, found: Sequence[Outcome]) -> None:
    """A group is done."""


def tried(
    seed: int,
    most: int | None,
    kinds: Sequence[str] = KINDS,
    only: str = "",
    processes: int = 1,
    show: Callable[[Group, Sequence[Outcome]], None] = nothing_shown,
) -> list[Outcome]:
    """The outcomes of every trial; with `most`, of so many a step, file or pair."""
    memory = Path("/dev/shm")  # noqa: S108 - where there is one, nothing waits for a disk
    around = Path(tempfile.mkdtemp(prefix="negrefine-faults-", dir=memory if memory.is_dir() else None))
    context = multiprocessing.get_context("spawn")
    outcomes: list[Outcome] = []
    try:
        with ProcessPoolExecutor(processes, context, initializer=_prepare, initargs=(around,)) as pool:
            groups = [group for group in pool.submit(_groups).result() if group[0] in kinds and only in group[1]]
            work = {pool.submit(_try, group, seed, most): group for group in groups}
            for done in as_completed(work):
                outcomes += done.result()
                show(work[done], done.result())
    finally:
        shutil.rmtree(around, ignore_errors=True)
    return sorted(outcomes, key=lambda outcome: (outcome.kind, outcome.step))


def _prepare(around: Path) -> None:
    """Before this process imports anything that looks for the data folder."""
    data = Path(tempfile.mkdtemp(dir=around)) / "data"
    data.mkdir()
    os.environ |= {"NEGREFINE_DATA": str(data), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def _ready() -> "World":
    from negrefine_core import paths
    from tests.faults import steps
    from tests.faults.world import World

    if str(paths.DATA) != os.environ["NEGREFINE_DATA"]:
        raise RuntimeError(
            f"the faults would be tried on {paths.DATA}, which is not theirs; run python -m tests.faults"
        )
    if not _worlds:
        steps.prepare()
        _worlds.append(World())
    return _worlds[0]


def _groups() -> list[Group]:
    _ready()
    from tests.faults.damage import files
    from tests.faults.steps import STEPS
    from tests.faults.together import PAIRS

    names = {"step": [step.name for step in STEPS], "damage": files(), "pair": list(PAIRS), "server": ["server"]}
    return [(kind, name) for kind in KINDS for name in names[kind]]


def _try(group: Group, seed: int, most: int | None) -> list[Outcome]:
    kind, name = group
    generator = random.Random(f"{seed} {kind} {name}")  # noqa: S311 - a seeded draw, not a secret
    return list(_trials(kind, name, generator, most))


def _trials(kind: str, name: str, generator: random.Random, most: int | None) -> Iterator[Outcome]:
    world = _ready()
    from tests.faults import damage, servers, together, trials
    from tests.faults.steps import STEPS

    match kind:
        case "step":
            (step,) = (step for step in STEPS if step.name == name)
            yield from trials.step_trials(world, step, generator, most)
        case "damage":
            yield from damage.damage_trials(world, name, generator, most)
        case "pair":
            yield from together.pair_trials(world, name, generator, min(PAIR_POINTS, most or PAIR_POINTS))
        case "server":
            for trial in servers.trials(generator.randrange(1000), min(SERVER_TRIALS, most or SERVER_TRIALS)):
                yield Outcome("server", "refine", trial.name, trial.outcome, trial.detail)
