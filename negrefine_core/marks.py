"""A person's marks on pictures that nobody had sorted: what each really shows, and the metrics that follow."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import pandas as pd

from .decisions import not_undone
from .errors import NegRefineError
from .metrics import Convention, Interval, Measured, auroc_interval, evaluate
from .paths import file_state
from .pictures import locate
from .records import Mark, now
from .run_files.checks import digest
from .runs import Run

ENOUGH = 5  # marked pictures of each kind from which on there are metrics
RESAMPLES = 1000


@dataclass(frozen=True)
class Share:
    """`count` of `total`, with the 95% interval (Wilson's) of the share behind it."""

    count: int
    total: int

    @property
    def interval(self) -> Interval:
        from scipy.stats import binomtest  # here: it takes a second to import

        low, high = binomtest(self.count, self.total).proportion_ci(method="wilson")
        return Interval(float(low), float(high))


def mark(
    run: Run, image_set: str, path: str, is_id: bool, who: str, id_label: str = "", not_label: str = ""
) -> Mark | None:
    """Note what a picture shows: an ID class, one of them (no `id_label`) but for `not_label`, or none (not `is_id`).

    None, and nothing is written, where it is marked so already.

    Raises NegRefineError for a picture that the set's scores do not name or whose file is gone, and for a class that
    is no ID label.
    """
    for label in filter(None, (id_label, not_label)):
        if not (is_id and label in run.id_labels):
            raise NegRefineError(f"{label!r} is no ID class of the run {run.name!r}")
    if path not in set(run.scores(image_set, ["path"])["path"]):
        raise NegRefineError(f"the image set {image_set!r} has no scored picture {path!r}")
    content = _content(locate(run, image_set, path))
    with run.locked():
        before = marked(run, image_set).get(path)
        if before and (before.is_id, before.id_label, before.not_label) == (is_id, id_label, not_label):
            return None
        return run.append_mark(Mark(image_set, path, content, is_id, id_label, who, now(), not_label=not_label))


def unmark(run: Run, image_set: str, who: str) -> Mark | None:
    """Take back the set's last mark that is not taken back yet; returns it, or None where there is none."""
    with run.locked():
        open_marks = [entry for entry in not_undone(run.marks) if entry.image_set == image_set]
        if not open_marks:
            return None
        last = open_marks[-1]
        run.append_mark(replace(last, who=who, time=now(), undoes=last.number))
        return last


def marked(run: Run, image_set: str) -> dict[str, Mark]:
    """The last mark of each picture of a set, by path; a mark on a file whose content is another now does not count."""
    last = {entry.path: entry for entry in not_undone(run.marks) if entry.image_set == image_set}
    return {path: entry for path, entry in last.items() if _is_of(run, entry)}


def with_truth(scores: pd.DataFrame, marks: Mapping[str, Mark]) -> pd.DataFrame:
    """The rows of marked pictures, with what they show: `is_id`."""
    rows = scores[scores["path"].isin(marks.keys())]
    return rows.assign(is_id=pd.array([marks[path].is_id for path in rows["path"]], dtype=bool))


def is_enough(marks: Iterable[Mark]) -> bool:
    """Whether there are marks enough, of ID and of other pictures, for metrics."""
    sides = [entry.is_id for entry in marks]
    return min(sum(sides), len(sides) - sum(sides)) >= ENOUGH


def measured(truth: pd.DataFrame, score: str, convention: Convention = "id-positive") -> Measured:
    """A score's metrics on the marked pictures of a set (`with_truth`), with bootstrap draws.

    Raises NegRefineError where no ID or no other picture is marked.
    """
    return evaluate(truth.assign(image_set="marked"), [score], convention, RESAMPLES)[0]


def auroc_bounds(truth: pd.DataFrame, auroc: float) -> Interval:
    """The 95% interval of a score's AUROC on the marked pictures."""
    count = int(truth["is_id"].sum())
    return auroc_interval(auroc, count, len(truth) - count)


def right(truth: pd.DataFrame, score: str, threshold: float) -> Share:
    """How many marked pictures lie on their side of the threshold."""
    return Share(int(((truth[score] >= threshold) == truth["is_id"]).sum()), len(truth))


def right_class(truth: pd.DataFrame, known: Mapping[str, Mark]) -> Share:
    """How many marked pictures of the ID classes have their own class as the most similar one.

    Of those of which that is known: the person named their class, or said that it is not that one.
    """
    inside = truth[truth["is_id"]]
    said = [
        known[path].id_label == labels[0]
        for path, labels in zip(inside["path"], inside["id_labels"], strict=True)
        if known[path].id_label or known[path].not_label == labels[0]
    ]
    return Share(sum(said), len(said))


def _is_of(run: Run, entry: Mark) -> bool:
    """Whether the marked file is still the one that was marked, or is gone."""
    try:
        file = locate(run, entry.image_set, entry.path)
    except NegRefineError:
        return True
    return _hashed(file, file_state(file)) == entry.content


def _content(file: Path) -> str:
    return _hashed(file, file_state(file))


@lru_cache(maxsize=100_000)
def _hashed(file: Path, state: tuple[int, int, int]) -> str:
    """Of a picture's file, read again when it was replaced."""
    del state
    try:
        return digest(file.read_bytes())
    except OSError as error:
        raise NegRefineError(f"{file} cannot be read ({error.strerror})") from error
