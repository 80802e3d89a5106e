"""Everything that can be read of the data folder, as plain values that can be compared, part by part."""

import math
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from negrefine_core import marks, methods, metrics, overrides, paths, pipeline, reviews, selections
from negrefine_core.errors import NegRefineError
from negrefine_core.jobs import queue
from negrefine_core.records import Review
from negrefine_core.runs import Run
from tests.faults.world import BOOTSTRAP, OTHER, World

TOLERANCE = 2e-5


@dataclass(frozen=True)
class Part:
    """What came of reading one thing: its value, one clear line, or a traceback."""

    how: Literal["value", "clear", "traceback"]
    value: object = None
    said: str = ""


Everything = Mapping[str, Part]


def read_everything(world: World) -> dict[str, Part]:
    """Every run but the one that only lends its files, and what lies beside the runs."""
    parts = {}
    for name in sorted(path.name for path in paths.RUNS.glob("[!.]*/") if path.name != OTHER):
        opened = _part(partial(Run.open, name))
        if not isinstance(opened.value, Run):
            parts[f"{name}/open"] = opened
            continue
        for what, read in READERS.items():
            parts[f"{name}/{what}"] = _part(partial(read, opened.value))
        for what, check in CHECKS.items():
            parts[f"{name}/{what}"] = _part(partial(check, opened.value, world))
    for file in sorted(paths.DATA.glob("written/*")) + sorted(paths.DATA.glob("benchmarks/*")):
        if not file.name.startswith("."):
            parts[f"{file.parent.name}/{file.name}"] = _part(partial(_file, file))
    parts["jobs"] = _part(lambda: sum(job.state == "done" for job in queue.all_jobs()))
    return parts


def _part(read: Callable[[], object]) -> Part:
    try:
        return Part("value", read())
    except NegRefineError as error:
        return Part("clear", said=str(error))
    except Exception:
        return Part("traceback", said=traceback.format_exc())


def _file(file: Path) -> object:
    if file.is_dir():
        return sorted((str(each.relative_to(file)), each.read_bytes()) for each in file.rglob("*") if each.is_file())
    if file.suffix == ".parquet":
        return _rows(pd.read_parquet(file))
    return [line for line in file.read_text(encoding="utf-8").splitlines() if " s |" not in line and "took" not in line]


# --- a run's files ---------------------------------------------------------------------------------------------------


def _info(run: Run) -> object:
    info = run.info
    noted = {
        "settings": info.settings.model_dump(),
        "classes": info.class_list_hash,
        "model": info.model and info.model.model_dump(),
        "judge": info.judge,
        "image_sets": dict(info.image_sets),
        "roles": dict(info.roles),
    }
    return noted | {"id_set": run.id_set}


def _neglabel(run: Run) -> object:
    return [vars(n) for n in run.neglabel_negatives] if run.has_neglabel else "none"


def _answers(run: Run) -> object:
    """Every answer once for each time that it was written down: a question asked twice is seen."""
    return sorted((v.judge, v.prompt or v.negative, v.id_label or "", v.answer) for v in run.verdicts)


def _log(run: Run) -> object:
    return [(o.negative, o.old, o.new, o.reason, o.who, o.undoes is not None) for o in run.overrides]


def _in_force(run: Run) -> object:
    return {n: (o.old, o.new, o.reason, o.who) for n, o in overrides.in_force(run.overrides).items()}


def _review(run: Run) -> object:
    return _rows(overrides.review_table(run).drop(columns=["time"]))


def _two(said: Mapping[str, list[Review]]) -> list[object]:
    return [(label, [(r.who, r.decision, r.reason) for r in each]) for label, each in said.items()]


def _marks(run: Run) -> object:
    found = {name: marks.marked(run, name) for name in run.scored_sets}
    return {name: {p: (m.side, m.id_label, m.who) for p, m in known.items()} for name, known in found.items()}


def _scores(run: Run) -> object:
    return {name: _rows(run.scores(name, run.score_columns(name))) for name in run.scored_sets}


def _rows(table: pd.DataFrame) -> object:
    return [list(table.columns), *(_plain(list(row)) for row in table.itertuples(index=False))]


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray | list | tuple):
        return [_plain(each) for each in value]
    return value.item() if isinstance(value, np.generic) else value


READERS: Mapping[str, Callable[[Run], object]] = {
    "info": _info,
    "ID labels": lambda run: run.id_labels,
    "mined": lambda run: [vars(n) for n in run.initial_negatives] if run.is_mined else "not mined",
    "mined for NegLabel": _neglabel,
    "answers": _answers,
    "override log": _log,
    "in force": _in_force,
    "review": lambda run: _review(run) if run.is_mined else "not mined",
    "negatives": lambda run: [vars(n) for n in run.negatives] if run.is_refined else "not refined",
    "outdated": overrides.outdated_scores,
    "review log": lambda run: [(r.negative, r.decision, r.reason, r.who, r.undoes is not None) for r in run.reviews],
    "reviews": lambda run: (
        _two(reviews.agreed(run)) + _two(reviews.disagreements(run)) if run.is_mined else "not mined"
    ),
    "scores": _scores,
    "mark log": lambda run: [(m.image_set, m.path, m.side, m.who, m.undoes is not None) for m in run.marks],
    "marks": _marks,
    "selections": lambda run: {name: dict(selections.read(run, name).images) for name in selections.names(run)},
    "metrics": lambda run: dict(run.metrics) if run.path("metrics.json").exists() else "not evaluated",
    "skipped": lambda run: _rows(run.skipped),
}


# --- what must hold in every state -----------------------------------------------------------------------------------


def _final_is_what_was_decided(run: Run, world: World) -> object:
    """Where there are final negatives: those that differ from what verdicts and overrides say."""
    if not run.is_refined:
        return []
    decided = {n.label for n in run.reviewable} - run.rejections.keys()
    for label, override in overrides.in_force(run.overrides).items():
        decided = decided | {label} if override.new == "kept" else decided - {label}
    return sorted(decided ^ {n.label for n in run.negatives})


def _current_scores_are_right(run: Run, world: World) -> object:
    """The image sets whose scores are called current and are not those of the negatives that the run has now."""
    wrong: list[str] = []
    if not run.is_refined or run.settings.model != world.settings().model:
        return wrong
    outdated = overrides.outdated_scores(run)
    current = [name for name in run.scored_sets if name not in outdated]
    encoder = world.encoder
    detector = pipeline.detector(run, encoder) if current else None
    for name in current:
        table = run.scores(name)
        assert detector
        anew = detector.score_features(pipeline.image_features(run, encoder, table.assign(image_set=name)))
        if not np.allclose(anew["negrefine"], table["negrefine"], atol=TOLERANCE):
            wrong.append(name)
    return wrong


def _metrics_are_of_the_scores(run: Run, world: World) -> object:
    """The OOD sets whose stored AUROC of NegRefine is not that of the scores."""
    if not run.path("metrics.json").exists():
        return []
    stored = run.metrics
    figures = stored["methods"][methods.method(methods.DEFAULT).name]
    names = [name for name in stored["images"] if name in run.scored_sets]
    if len(names) < len(stored["images"]):
        return sorted(set(stored["images"]) - set(names))
    parts = [run.scores(name).assign(image_set=name, is_id=name == stored["id_set"]) for name in names]
    anew = metrics.evaluate(pd.concat(parts), [methods.DEFAULT], n_bootstrap=BOOTSTRAP)
    return [m.ood_set for m in anew if abs(figures[m.ood_set]["auroc"] - m.auroc) > TOLERANCE]


CHECKS: Mapping[str, Callable[[Run, World], object]] = {
    "final list as decided": _final_is_what_was_decided,
    "current scores are right": _current_scores_are_right,
    "metrics are of the scores": _metrics_are_of_the_scores,
}


STRICT = (*CHECKS, "ID labels", "mined", "mined for NegLabel")  # lists that are whole, old or new

# --- comparing -------------------------------------------------------------------------------------------------------


def differing(found: Everything, *references: Everything) -> list[str]:
    """The parts that were read without a word and are those of none of the references; a part that is missing where
    all have it counts too."""
    keys = set(found).union(*references)
    return sorted(key for key in keys if _differs(key, found, references))


def _differs(key: str, found: Everything, references: tuple[Everything, ...]) -> bool:
    part = found.get(key)
    if part and part.how == "clear":
        return False
    return not any(_same(part and part.value, ref.get(key) and ref[key].value) for ref in references)


def between(found: Everything, before: Everything, after: Everything) -> list[str]:
    """The parts that were read without a word after a step was cut short, and hold what neither state has: each entry
    may be the old one or the new one."""
    return [key for key in sorted(found) if found[key].how == "value" and not _is_between(key, found, before, after)]


def _is_between(key: str, found: Everything, before: Everything, after: Everything) -> bool:
    value = found[key].value
    states = [state[key].value for state in (before, after) if key in state]
    if any(_same(value, state) for state in states):
        return True
    if isinstance(value, Mapping):
        old, new = (state if isinstance(state, Mapping) else {} for state in (states * 2)[:2])
        return all(any(_same(value[k], state.get(k)) for state in (old, new)) for k in value)
    if isinstance(value, list) and key.rpartition("/")[2] not in STRICT:
        entries = [entry for state in states if isinstance(state, list) for entry in state]
        return all(any(_same(entry, other) for other in entries) for entry in value)
    return False


def clear_lines(found: Everything) -> dict[str, str]:
    return {key: part.said for key, part in found.items() if part.how == "clear"}


def tracebacks(found: Everything) -> dict[str, str]:
    return {key: part.said for key, part in found.items() if part.how == "traceback"}


def _same(one: object, two: object) -> bool:
    if isinstance(one, float) and isinstance(two, float):
        return math.isclose(one, two, rel_tol=TOLERANCE, abs_tol=TOLERANCE) or (math.isnan(one) and math.isnan(two))
    if isinstance(one, list | tuple) and isinstance(two, list | tuple):
        return len(one) == len(two) and all(map(_same, one, two))
    if isinstance(one, Mapping) and isinstance(two, Mapping):
        return one.keys() == two.keys() and all(_same(one[key], two[key]) for key in one)
    return one == two


def leftovers() -> list[str]:
    """Temporary files of processes that are gone."""
    found = (path for path in paths.DATA.rglob(".*") if not path.name.endswith(".lock"))
    return sorted(path.relative_to(paths.DATA).as_posix() for path in found)
