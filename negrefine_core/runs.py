"""A run is a folder of plain files: everything the app shows, the CLI writes and a notebook reads."""

import contextlib
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pandas as pd

from .errors import NegRefineError, UnknownIdSetError
from .image_sets import is_set_name
from .paths import from_portable, portable
from .records import Negative, Override, Verdict
from .run_files import logs, tables
from .run_files.folder import RunFolder
from .run_files.folder import class_list_hash as class_list_hash
from .run_files.folder import is_run_name as is_run_name
from .run_files.folder import run_names as run_names
from .run_files.info import ScoredWith
from .run_files.info import Settings as Settings
from .run_files.info import checked_settings as checked_settings
from .run_files.metrics import Metrics, drop_exchanged, read_metrics, write_metrics
from .run_files.scores import read_scores, write_scores


class Run(RunFolder):
    """One run: what its steps made, file by file. `Run.create` makes or resumes it, `Run.open` reads it."""

    @property
    def is_mined(self) -> bool:
        return self.path(tables.INITIAL).exists()

    @property
    def is_refined(self) -> bool:
        """Whether there are final negatives to score with."""
        return self.path(tables.FINAL).exists()

    # --- labels ---------------------------------------------------------------------------------------------------

    @property
    def initial_negatives(self) -> list[Negative]:
        return tables.read_negatives(self.path(tables.INITIAL))

    def write_initial_negatives(self, negatives: Iterable[Negative]) -> None:
        tables.write_negatives(self.path(tables.INITIAL), negatives)

    @property
    def neglabel_negatives(self) -> list[Negative]:
        """The NegLabel baseline's own negatives."""
        return tables.read_negatives(self.path(tables.NEGLABEL))

    def write_neglabel_negatives(self, negatives: Iterable[Negative]) -> None:
        tables.write_negatives(self.path(tables.NEGLABEL), negatives)

    @property
    def negatives(self) -> list[Negative]:
        """The final negatives: what the verdicts and overrides left."""
        return tables.read_negatives(self.path(tables.FINAL))

    def write_negatives(self, negatives: Iterable[Negative], permutation: Sequence[int] = ()) -> None:
        """The final negatives and the permutation into their scoring groups; none: the detector draws it."""
        with self.locked():
            tables.write_negatives(self.path(tables.FINAL), negatives)
            self.update_info(permutation=tuple(permutation))

    # --- verdicts and overrides -----------------------------------------------------------------------------------

    @property
    def verdicts(self) -> list[Verdict]:
        return logs.read_verdicts(self.path("verdicts.jsonl"))

    def verdict_log(self) -> AbstractContextManager[logs.VerdictLog]:
        return logs.verdict_log(self.path("verdicts.jsonl"))

    @property
    def overrides(self) -> list[Override]:
        return logs.read_overrides(self.path("overrides.jsonl"))

    def append_overrides(self, overrides: Iterable[Override]) -> None:
        logs.append_overrides(self.path("overrides.jsonl"), overrides)

    # --- image sets: their scores, folders and roles --------------------------------------------------------------

    @property
    def scored_sets(self) -> list[str]:
        files = self.path("scores").glob("*.parquet")
        return sorted(path.stem for path in files if is_set_name(path.stem))  # "...parquet" would be the run itself

    def scores(self, image_set: str) -> pd.DataFrame:
        self.check_scored(image_set)
        return read_scores(self.path(f"scores/{image_set}.parquet"))

    def write_scores(self, image_set: str, root: Path, chunks: pd.DataFrame | Iterable[pd.DataFrame]) -> int:
        """Write an image set's scores, chunk by chunk as they come, and return how many; none leave no file."""
        chunks = [chunks] if isinstance(chunks, pd.DataFrame) else chunks
        count = write_scores(self.path(f"scores/{image_set}.parquet"), chunks)
        if count:
            with self.locked():
                self.update_info(image_sets={**self.info.image_sets, image_set: portable(root)})
        return count

    def image_root(self, image_set: str) -> Path:
        """The folder that the paths in an image set's scores are relative to."""
        return from_portable(self.info.image_sets[image_set])

    def shows_id(self, image_set: str) -> bool | None:
        """Whether an image set shows the ID classes; None where nobody has said."""
        return self.info.shows_id(image_set)

    @property
    def id_sets(self) -> list[str]:
        """The scored image sets that show the ID classes."""
        return [name for name in self.scored_sets if self.shows_id(name)]

    @property
    def id_set(self) -> str | None:
        """The ID image set that figures are of: the last evaluation's, else the first; None where nobody has said."""
        known, evaluated = self.id_sets, None
        with contextlib.suppress(NegRefineError):
            evaluated = self.metrics.get("id_set")
        return evaluated if evaluated in known else next(iter(known), None)

    def known_id_set(self, given: str = "") -> str:
        """The ID image set that a person names, else the run's own.

        Raises UnknownIdSetError where nobody has said which it is: none is ever guessed.
        """
        found = given or self.id_set
        if not found:
            scored = ", ".join(self.scored_sets) or "nothing yet"
            raise UnknownIdSetError(
                f"nobody has said which image set of the run {self.name!r} shows its ID classes; name it (on the "
                f"command line with --id, in the app on the page Explore). Scored: {scored}"
            )
        return found

    def set_role(self, image_set: str, is_id: bool) -> None:
        """Say whether an image set shows the ID classes or something else; metrics that took it otherwise go."""
        with self.locked():
            self.update_info(roles={**self.info.roles, image_set: "ID" if is_id else "OOD"})
        drop_exchanged(self.path("metrics.json"), image_set, is_id)

    def set_scored_with(self, image_set: str, negatives: Sequence[Negative], overrides: int) -> None:
        """Note which negatives an image set was scored with, and how many lines the overrides' log had by then."""
        record = ScoredWith(negatives=class_list_hash(n.label for n in negatives), overrides=overrides)
        with self.locked():
            self.update_info(scored_with={**self.info.scored_with, image_set: record})

    @property
    def skipped(self) -> pd.DataFrame:
        """The unreadable images: columns `image_set`, `path`, `reason`."""
        return tables.read_skipped(self.path("skipped.csv"))

    def write_skipped(self, image_set: str, skipped: Iterable[tuple[str, str]]) -> None:
        with self.locked():
            tables.write_skipped(self.path("skipped.csv"), image_set, skipped)

    @property
    def metrics(self) -> Metrics:
        return read_metrics(self.path("metrics.json"))

    def write_metrics(self, values: Metrics) -> None:
        write_metrics(self.path("metrics.json"), values)

    def check_scored(self, image_set: str) -> None:
        """Raise where the image set has no scores, naming those that have."""
        if image_set not in self.scored_sets:
            there = ", ".join(self.scored_sets) or "nothing yet"
            raise NegRefineError(f"the run {self.name!r} has no scores of {image_set!r}; scored: {there}")


def remove_image_set(run: Run, image_set: str) -> None:
    """Forget an image set: its scores, its pictures where they were uploaded into the run and no other run has scored
    them, and the metrics, until the run is evaluated again.

    Raises NegRefineError when there are no such scores.
    """
    run.check_scored(image_set)
    uploaded, others = run.path("images") / image_set, others_with(run, image_set)
    run.path(f"scores/{image_set}.parquet").unlink()
    if uploaded.is_dir() and not uploaded.is_symlink() and not others:
        shutil.rmtree(uploaded)
    run.write_skipped(image_set, [])
    with run.locked():
        run.update_info(
            image_sets=_without(image_set, run.info.image_sets),
            roles=_without(image_set, run.info.roles),
            scored_with=_without(image_set, run.info.scored_with),
        )
    run.path("metrics.json").unlink(missing_ok=True)


def others_with(run: Run, image_set: str) -> list[str]:
    """The names of the other runs that have scored the pictures which were uploaded into this one."""
    uploaded = portable(run.path("images") / image_set)
    found = []
    for name in run_names(run.folder.parent):
        with contextlib.suppress(NegRefineError):  # a damaged run stops nothing
            if name != run.name and uploaded in Run(run.folder.with_name(name)).info.image_sets.values():
                found.append(name)
    return found


def _without(image_set: str, values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if name != image_set}
