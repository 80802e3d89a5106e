"""The paper's 13 experiments, read from `data/experiments.toml`."""

import contextlib
import tomllib
from collections.abc import Mapping, Sequence
from functools import lru_cache

from pydantic import BaseModel, ConfigDict

from .. import paths
from ..errors import NegRefineError
from ..labels import PAPER_FORM, class_list_presets
from ..runs import Run, run_names


class Experiment(BaseModel):
    """One experiment: the ID set, its class list, the OOD sets, and what the paper reports.

    `paper` maps a method to (AUROC, FPR@95) in percent, ID positive, of an OOD set or of `average`, which is over `ood`
    alone; `ablation` has such averages with parts of the method left out; `seconds` are the paper's. All hold what is
    known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    id: str
    labels: str
    ood: tuple[str, ...]
    contaminated: tuple[str, ...] = ()
    sketch_templates: bool = False
    paper: Mapping[str, Mapping[str, tuple[float, float]]] = {}
    ablation: Mapping[str, tuple[float, float]] = {}
    seconds: Mapping[str, float] = {}

    @property
    def image_sets(self) -> tuple[str, ...]:
        """All image sets, the ID set first."""
        return (self.id, *self.ood, *self.contaminated)

    @property
    def paper_labels(self) -> str:
        """The class list with the published one's defects; the same list where it has none."""
        name = self.labels + PAPER_FORM
        return name if name in class_list_presets() else self.labels


@lru_cache
def experiments() -> tuple[Experiment, ...]:
    """All of them, in the paper's order."""
    tables = tomllib.loads((paths.BUNDLED / "experiments.toml").read_text(encoding="utf-8"))
    return tuple(Experiment(name=name, **table) for name, table in tables.items())


def experiment(name: str) -> Experiment:
    """The experiment of a name. Raises NegRefineError naming those there are."""
    found = {entry.name: entry for entry in experiments()}.get(name)
    if not found:
        raise NegRefineError(f"no experiment {name!r}; choose one of {', '.join(e.name for e in experiments())}")
    return found


def seeds_of(run: Run) -> list[Run]:
    """The runs of a benchmark that the run is one of, those that are scored whole, in their seeds' order."""
    entry, name = experiment(run.info.experiment), run.name.removesuffix(f"-seed{run.settings.seed}")
    runs = []
    for other in (Run(run.folder.parent / other) for other in run_names(run.folder.parent)):
        with contextlib.suppress(NegRefineError):  # a damaged run
            seed = other.settings.seed
            same = run.settings.model_copy(update={"seed": seed}) == other.settings
            if other.name == f"{name}-seed{seed}" and same and set(entry.image_sets) <= set(other.scored_sets):
                runs.append(other)
    return sorted(runs, key=lambda other: other.settings.seed)


def times(entry: Experiment, runs: Sequence[Run]) -> str:
    """Seconds of each step, the mean over seeds, beside the paper's."""
    parts = []
    for step in ("mining", "judging", "scoring"):
        seconds = [run.info.seconds[step] for run in runs if step in run.info.seconds]
        paper = f" (paper: {entry.seconds[step]:,.0f})" if step in entry.seconds else ""
        if seconds:
            parts.append(f"{step} {sum(seconds) / len(seconds):,.1f}{paper}")
    return f"Seconds a seed, mean: {', '.join(parts)}. What was in the cache took none."
