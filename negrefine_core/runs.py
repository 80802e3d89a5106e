"""A run is a folder of plain files: everything the app shows, the CLI writes and a notebook reads."""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pandas as pd

from . import decisions
from .errors import NegRefineError, UnfinishedError, UnknownIdSetError
from .image_sets import is_set_name
from .judge import PUBLISHED, JudgeIdentity
from .paths import from_portable, portable, temporary_folder, write_atomically, writing
from .records import Mark, Negative, Override, Reason, Review, Verdict
from .run_files import logs, tables
from .run_files.bundled import BUNDLED_RUNS
from .run_files.checks import digest
from .run_files.folder import RunFolder
from .run_files.folder import is_run_name as is_run_name
from .run_files.folder import run_names as run_names
from .run_files.id_labels import class_list_hash as class_list_hash
from .run_files.info import Role as Role
from .run_files.info import ScoredWith
from .run_files.info import Settings as Settings
from .run_files.info import checked_settings as checked_settings
from .run_files.large_scores import count_scores, read_all_scores, remove_parts, write_all_scores
from .run_files.metrics import Metrics, read_metrics, roles_in_metrics, write_metrics
from .run_files.scores import (
    ScoresInfo,
    columns_of,
    list_columns,
    read_flat_scores,
    read_score_rows,
    read_scores,
    read_scores_info,
    read_top_negatives,
)
from .storage import folder_of, is_url

if TYPE_CHECKING:
    from upath import UPath


class Run(RunFolder):
    """One run: what its steps made, file by file. `Run.create` makes or resumes it, `Run.open` reads it."""

    @property
    def is_mined(self) -> bool:
        return self.path(tables.INITIAL).exists()

    @property
    def is_refined(self) -> bool:
        """Whether there are final negatives to score with."""
        return bool(self.info.judge) or self.path(tables.FINAL).exists()

    # --- labels ---------------------------------------------------------------------------------------------------

    @property
    def initial_negatives(self) -> list[Negative]:
        return self._list(tables.INITIAL)

    def write_initial_negatives(self, negatives: Iterable[Negative]) -> None:
        self._write(tables.INITIAL, tables.negatives_text(negatives))

    @property
    def neglabel_negatives(self) -> list[Negative]:
        """The NegLabel baseline's own negatives."""
        return self._list(tables.NEGLABEL)

    @property
    def has_neglabel(self) -> bool:
        """Whether the run has, or had, negatives of that kind."""
        return tables.NEGLABEL in self.info.hashes or self.path(tables.NEGLABEL).exists()

    def write_neglabel_negatives(self, negatives: Iterable[Negative]) -> None:
        self._write(tables.NEGLABEL, tables.negatives_text(negatives))

    @property
    def judge(self) -> str:
        """The identity of the judge whose verdicts decide: the last that refined the run."""
        return self.info.judge or self.settings.judge

    def judge_name(self, judge: str) -> str:
        """A judge's identity as a person reads it: the published one's by its language model, where that is known."""
        bundled = BUNDLED_RUNS.get(self.name)
        model = bundled.judge if bundled else self.info.published.judge
        return f"{model} ({PUBLISHED})" if model and judge == PUBLISHED else judge

    def short_judge_name(self, judge: str) -> str:
        """For the head of a column: language models without their servers."""
        name = self.judge_name(judge)
        return JudgeIdentity.parse(judge).short if name == judge else name

    @property
    def rejections(self) -> dict[str, Verdict]:
        """The verdict that rejected each negative, by negative."""
        return dict(_rejections(self.judge, self.state("run.json", "verdicts.jsonl")))

    @property
    def reviewable(self) -> list[Negative]:
        """The cleaned negatives in mined order, or in its log's order when the run is a published one."""
        return list(_reviewable(self.judge, self.state("run.json", "verdicts.jsonl", tables.INITIAL)))

    @property
    def negatives(self) -> list[Negative]:
        """The final negatives: what the verdicts and overrides left of the mined ones.

        `negatives.csv` says the same, and is written anew where it does not: a process may have been killed before.

        Raises UnfinishedError where the judge has not answered every question.
        """
        if not self.is_refined:
            raise UnfinishedError(
                f"the run {self.name!r} has no {tables.FINAL} yet; do the step 'refine' first, to its end"
            )
        if not self._is_decided:
            return self._list(tables.FINAL)
        files = ("run.json", "verdicts.jsonl", "overrides.jsonl", tables.INITIAL, tables.FINAL)
        return list(_final(self.state(*files)))

    @property
    def _is_decided(self) -> bool:
        """Whether verdicts or overrides say what the final negatives are; a list may also be given without any."""
        if self.info.judge or self.overrides:
            return True
        return any(verdict.judge == self.judge for verdict in self.verdicts)

    def write_negatives(self, negatives: Iterable[Negative], permutation: Sequence[int] = ()) -> None:
        """The final negatives and the permutation into their scoring groups; none: the detector draws it."""
        with self.locked():
            self._write(tables.FINAL, tables.negatives_text(negatives))
            self.update_info(permutation=tuple(permutation))

    def _list(self, name: str) -> list[Negative]:
        return tables.read_negatives(self.path(name), self.info.hashes.get(name, ()))

    def _write(self, name: str, text: str) -> None:
        """While a file is being replaced, `run.json` knows the hash of both: it may end between the two."""
        with self.locked():
            hashes, new = self.info.hashes, digest(text)
            before = hashes.get(name, ()) if self.path(name).exists() else ()
            if new not in before:
                self.update_info(hashes={**hashes, name: (*before, new)})
            write_atomically(self.path(name), text)
            if before not in ((), (new,)):
                self.update_info(hashes={**hashes, name: (new,)})

    # --- verdicts, reasons, overrides, reviews and marks ----------------------------------------------------------

    @property
    def verdicts(self) -> list[Verdict]:
        return logs.read_verdicts(self.path("verdicts.jsonl"))

    def note_judge(self, judge: str) -> None:
        """Once a judge has answered every question: who decides, how long the log is, and which log it is."""
        lines = len(self.verdicts)
        self.update_info(judge=judge, verdicts=lines, verdict_log=logs.said(self.path("verdicts.jsonl"), lines))

    def verdict_log(self) -> AbstractContextManager[logs.VerdictLog]:
        return logs.verdict_log(self.path("verdicts.jsonl"))

    @property
    def reasons(self) -> list[Reason]:
        """What judges said of why, when they were asked."""
        return logs.read_reasons(self.path("reasons.jsonl"))

    def append_reason(self, reason: Reason) -> None:
        with self.locked():
            logs.append(self.path("reasons.jsonl"), [reason])

    @property
    def overrides(self) -> list[Override]:
        """Raises NegRefineError where lines that were there are lost."""
        log = logs.read_overrides(self.path("overrides.jsonl"))
        self._check_end("overrides", decisions.next_number(log), self.info.overrides)
        return log

    def append_overrides(self, overrides: Iterable[Override]) -> list[Override]:
        """Append decisions under numbers of their own, and return them as they were written."""
        with self.locked():
            first = decisions.next_number(self.overrides)
            added = [replace(override, number=first + i) for i, override in enumerate(overrides)]
            logs.append(self.path("overrides.jsonl"), added)
            self.update_info(overrides=first + len(added))
        return added

    @property
    def reviews(self) -> list[Review]:
        """Everyone's own decisions. Raises NegRefineError where lines that were there are lost."""
        log = logs.read_reviews(self.path("reviews.jsonl"))
        self._check_end("reviews", decisions.next_number(log), self.info.reviews)
        return log

    def append_reviews(self, reviews: Iterable[Review]) -> list[Review]:
        """Append decisions under numbers of their own, and return them as they were written."""
        with self.locked():
            first = decisions.next_number(self.reviews)
            added = [replace(review, number=first + i) for i, review in enumerate(reviews)]
            logs.append(self.path("reviews.jsonl"), added)
            self.update_info(reviews=first + len(added))
        return added

    @property
    def marks(self) -> list[Mark]:
        """Raises NegRefineError where lines that were there are lost."""
        log = logs.read_marks(self.path("marks.jsonl"))
        self._check_end("marks", decisions.next_number(log), self.info.marks)
        return log

    def append_mark(self, mark: Mark) -> Mark:
        """Append a mark under a number of its own, and return it as it was written."""
        with self.locked():
            added = replace(mark, number=decisions.next_number(self.marks))
            logs.append(self.path("marks.jsonl"), [added])
            self.update_info(marks=added.number + 1)
        return added

    def _check_end(self, log: str, number: int, known: int) -> None:
        if number < known:
            raise NegRefineError(
                f"{self.path(log)}.jsonl ends before the last line that run.json knows of: lines of it are lost. Put "
                f'the file back from a backup; or take the lines "{log}" and "check" out of run.json, to go on with '
                "what is left"
            )

    # --- image sets: their scores, folders and roles --------------------------------------------------------------

    @property
    def scored_sets(self) -> list[str]:
        files = self.path("scores").glob("*.parquet")
        return sorted(path.stem for path in files if is_set_name(path.stem))  # "...parquet" would be the run itself

    def scores(self, image_set: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """A row an image, with all columns but the files' hashes, or these."""
        self.check_scored(image_set)
        self.scores_info(image_set)
        return read_all_scores(self.path(f"scores/{image_set}.parquet"), columns)

    def score_columns(self, image_set: str) -> list[str]:
        self.check_scored(image_set)
        self.scores_info(image_set)
        return columns_of(self.path(f"scores/{image_set}.parquet"))

    def count_scored(self, image_set: str) -> int:
        """How many images have scores, more than a million too."""
        self.check_scored(image_set)
        return count_scores(self.path(f"scores/{image_set}.parquet"))

    def sample(self, image_set: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """The scores that are looked through: all of them or, where they are more than a million, so many by chance.

        The rows of `flat_scores`, `score_lists` and `top_negatives` are these.
        """
        self.check_scored(image_set)
        self.scores_info(image_set)
        return read_scores(self.path(f"scores/{image_set}.parquet"), columns)

    def flat_scores(self, image_set: str) -> pd.DataFrame:
        """The sample without lists: of the top labels and similarities the first alone, as `id_label` and so on."""
        self.check_scored(image_set)
        self.scores_info(image_set)
        return read_flat_scores(self.path(f"scores/{image_set}.parquet"))

    def score_lists(self, image_set: str, rows: Sequence[int]) -> pd.DataFrame:
        """The lists of some images alone, which are these rows of the scores."""
        self.scores_info(image_set)
        path = self.path(f"scores/{image_set}.parquet")
        return read_score_rows(path, rows, list_columns(path))

    def top_negatives(self, image_set: str) -> pd.Series:
        """The top negatives of all images, as categories; the index has each one's row in the scores."""
        self.scores_info(image_set)
        return read_top_negatives(self.path(f"scores/{image_set}.parquet"))

    def write_scores(
        self,
        image_set: str,
        root: "Path | UPath",
        chunks: pd.DataFrame | Iterable[pd.DataFrame],
        scored_with: ScoredWith | None = None,
        skipped: Iterable[tuple[str, str]] = (),
    ) -> int:
        """Write an image set's scores, chunk by chunk as they come, and return how many; none leave no file.

        `skipped` are the (path, reason) of unreadable images, read after the last chunk.
        """
        chunks = [chunks] if isinstance(chunks, pd.DataFrame) else chunks

        def describe() -> ScoresInfo:
            return ScoresInfo(
                image_set=image_set,
                root=portable(root),
                class_list_hash=self.info.class_list_hash,
                fingerprint=self.info.fingerprint,
                scored_with=scored_with,
                skipped=tuple((tables.printable(file), reason) for file, reason in skipped),
            )

        count = write_all_scores(self.path(f"scores/{image_set}.parquet"), chunks, describe)
        with self.locked():
            if count and image_set in self.info.image_sets:  # noted before scores said it themselves
                self._forget(image_set)
            self.write_skipped(image_set, () if count else skipped)
        return count

    def scores_info(self, image_set: str) -> ScoresInfo | None:
        """What an image set's scores say of themselves; None where there are none, or they are of before they did.

        Raises NegRefineError for scores that are damaged, or another run's or image set's.
        """
        path = self.path(f"scores/{image_set}.parquet")
        info = read_scores_info(path) if path.exists() else None
        if path.exists() and not info and image_set not in self.info.image_sets:
            raise NegRefineError(f"{path} does not say what it was made from; score the image set again")
        if info and (info.image_set, info.class_list_hash) != (image_set, self.info.class_list_hash):
            raise NegRefineError(f"{path} holds the scores of other images or ID labels; score the image set again")
        return info

    def scored_with(self, image_set: str) -> ScoredWith | None:
        """Which negatives an image set was scored with; None where that is not known."""
        info = self.scores_info(image_set)
        return info.scored_with if info else self.info.scored_with.get(image_set)

    def _forget(self, image_set: str) -> None:
        """What `run.json` notes of scores of before they said it themselves."""
        self.update_info(
            image_sets=_without(image_set, self.info.image_sets),
            scored_with=_without(image_set, self.info.scored_with),
        )

    def image_root(self, image_set: str) -> "Path | UPath":
        """The folder, here or of a storage, that the paths in an image set's scores are relative to.

        Raises NegRefineError where the run does not say which it is.
        """
        root = self._root(image_set)
        if root is None:
            raise NegRefineError(f"the run does not say where the image set {image_set!r} lies; score it again")
        return folder_of(root) if is_url(root) else from_portable(root)

    def _root(self, image_set: str) -> str | None:
        info = self.scores_info(image_set)
        return info.root if info else self.info.image_sets.get(image_set)

    @property
    def roots(self) -> dict[str, str]:
        """The folder of each scored image set whose folder is known, as a run file keeps it."""
        found = {name: self._root(name) for name in self.scored_sets}
        return {name: root for name, root in found.items() if root is not None}

    def role(self, image_set: str) -> Role:
        """What an image set shows: the ID classes or something else where that was said, else "unknown"."""
        return self._said(image_set, roles_in_metrics(self.path("metrics.json")))

    def _said(self, image_set: str, measured: Mapping[str, Role]) -> Role:
        """Metrics of before roles were noted say which sets are OOD, if their ID set is one by other words."""
        role = self.info.role(image_set, lambda: self._root(image_set))
        if image_set in self.info.roles or role != "unknown" or measured.get(image_set) != "OOD":
            return role
        inside = next((name for name, taken in measured.items() if taken == "ID"), "")
        is_sound = self.info.role(inside, lambda: self._root(inside)) == "ID"
        return "OOD" if is_sound else "unknown"

    def sets_showing(self, role: Role) -> list[str]:
        """The scored image sets of a role; what was not said is unknown."""
        measured = roles_in_metrics(self.path("metrics.json"))
        return [name for name in self.scored_sets if self._said(name, measured) == role]

    @property
    def id_sets(self) -> list[str]:
        """The scored image sets that show the ID classes."""
        return self.sets_showing("ID")

    @property
    def ood_sets(self) -> list[str]:
        """The scored image sets that were said to show something else."""
        return self.sets_showing("OOD")

    @property
    def unknown_sets(self) -> list[str]:
        """The scored image sets of which nobody knows, or has said, what they show: no figure takes them in."""
        return self.sets_showing("unknown")

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

    def known_ood_sets(self, id_set: str, given: Sequence[str] = ()) -> list[str]:
        """The image sets to compare an ID set with: those that a person names, else the run's own.

        Raises NegRefineError where none was said to show something else: none is ever guessed.
        """
        found = list(given) or [name for name in self.ood_sets if name != id_set]
        if not found:
            unknown = [name for name in self.unknown_sets if name != id_set]
            said = f"; nobody has said what these show: {', '.join(unknown)}" if unknown else ""
            raise NegRefineError(
                f"figures compare the ID set {id_set!r} with something else, and no scored image set of the run "
                f"{self.name!r} was said to show that{said}. Name it (on the command line with --ood, in the app on "
                "the page Score), or score one"
            )
        return found

    def set_role(self, image_set: str, role: Role) -> None:
        """Say what an image set shows; metrics that took it otherwise go. Raises NegRefineError for no such role."""
        if role not in get_args(Role):
            raise NegRefineError(f"{role!r} is no role of an image set; say one of {', '.join(get_args(Role))}")
        with self.locked():
            measured = self._keep_measured_roles()
            self.update_info(roles={**self.info.roles, image_set: role})
            if measured.get(image_set, role) != role:
                self.path("metrics.json").unlink(missing_ok=True)

    def _keep_measured_roles(self) -> dict[str, Role]:
        """Note the roles that only the metrics say, before these are replaced or deleted; returns what they took."""
        measured = roles_in_metrics(self.path("metrics.json"))
        unsaid = measured.keys() - self.info.roles.keys()
        if noted := {name: role for name in sorted(unsaid) if (role := self._said(name, measured)) != "unknown"}:
            self.update_info(roles={**self.info.roles, **noted})
        return measured

    @property
    def skipped(self) -> pd.DataFrame:
        """The unreadable images: columns `image_set`, `path`, `reason`."""
        return pd.DataFrame(self._skipped(), columns=list(tables.SKIPPED_COLUMNS), dtype=str)

    def write_skipped(self, image_set: str, skipped: Iterable[tuple[str, str]]) -> None:
        """Write `skipped.csv` anew, with these (path, reason) of an image set that has no scores."""
        with self.locked():
            self._write(tables.SKIPPED, tables.skipped_text(self._skipped(image_set, skipped)))

    def _skipped(self, image_set: str = "", skipped: Iterable[tuple[str, str]] = ()) -> list[tuple[str, str, str]]:
        """What the scores say themselves; `skipped.csv` for the other image sets; and these, of an image set without
        scores."""
        known = {}
        for name in self.scored_sets:
            with contextlib.suppress(NegRefineError):  # damaged scores can be removed, or made again
                if info := self.scores_info(name):
                    known[name] = info
        rows = [(name, path, reason) for name, info in known.items() for path, reason in info.skipped]
        rows += [(image_set, tables.printable(path), reason) for path, reason in skipped]
        own = tables.read_skipped(self.path(tables.SKIPPED), self.info.hashes.get(tables.SKIPPED, ()))
        return sorted([*rows, *(row for row in own if row[0] not in {*known, image_set})])

    @property
    def metrics(self) -> Metrics:
        """Raises NegRefineError where there are none, or they are of other scores than there are now."""
        metrics = read_metrics(self.path("metrics.json"))
        for image_set, check in metrics.get("scores", {}).items():
            info = self.scores_info(image_set)
            if check != (info.check if info else ""):
                raise UnfinishedError(
                    f"the scores of {image_set!r} are others than the metrics were worked out from; evaluate again"
                )
        return metrics

    def write_metrics(self, values: Metrics) -> None:
        with self.locked():
            self._keep_measured_roles()
            write_metrics(self.path("metrics.json"), values)

    def check_scored(self, image_set: str) -> None:
        """Raise where the image set has no scores, naming those that have."""
        if image_set not in self.scored_sets:
            there = ", ".join(self.scored_sets) or "nothing yet"
            raise NegRefineError(f"the run {self.name!r} has no scores of {image_set!r}; scored: {there}")


def remove_image_set(run: Run, image_set: str) -> None:
    """Forget an image set: its scores, its pictures where they were uploaded into the run and no other run has scored
    them, and the metrics, until the run is evaluated again.

    Its scores go last: what was interrupted can be done again, to the end.

    Raises NegRefineError when there are no such scores.
    """
    run.check_scored(image_set)
    uploaded, others = run.path("images") / image_set, others_with(run, image_set)
    scores = run.path(f"scores/{image_set}.parquet")
    with run.doing(f"score {image_set}"), run.locked(), writing(scores):
        run._keep_measured_roles()
        run.path("metrics.json").unlink(missing_ok=True)
        if uploaded.is_dir() and not uploaded.is_symlink() and not others:
            with temporary_folder(run.folder) as folder:
                uploaded.rename(folder / "pictures")
        run.update_info(roles=_without(image_set, run.info.roles))
        run._forget(image_set)
        left = (row for row in run._skipped() if row[0] != image_set)
        run._write(tables.SKIPPED, tables.skipped_text(left))
        remove_parts(scores)
        scores.unlink()


def others_with(run: Run, image_set: str) -> list[str]:
    """The names of the other runs that have scored the pictures which were uploaded into this one."""
    uploaded = portable(run.path("images") / image_set)
    found = []
    for name in run_names(run.folder.parent):
        with contextlib.suppress(NegRefineError):  # a damaged run stops nothing
            if name != run.name and uploaded in Run(run.folder.with_name(name)).roots.values():
                found.append(name)
    return found


@lru_cache(maxsize=4)
def _rejections(judge: str, state: tuple[Any, ...]) -> dict[str, Verdict]:
    """Of the run with this state; every decision asks for them."""
    run = Run(Path(state[0]))
    path, info, verdicts = run.path("verdicts.jsonl"), run.info, run.verdicts
    is_another = info.verdict_log not in ("", logs.said(path, info.verdicts))
    if is_another or len(verdicts) < info.verdicts:
        again = (
            "put the file back from a backup, or import the published folder again"
            if judge == PUBLISHED
            else "do the step 'refine' again: it asks what is missing"
        )
        raise UnfinishedError(f"{path} has lost lines or is another run's; {again}")
    labels = {None, *run.id_labels}  # a log that was another run's for a while names other classes
    return decisions.rejections_by(judge, (verdict for verdict in verdicts if verdict.id_label in labels))


@lru_cache(maxsize=4)
def _reviewable(judge: str, state: tuple[Any, ...]) -> list[Negative]:
    run = Run(Path(state[0]))
    return decisions.in_order(run.initial_negatives, judge, run.verdicts)


@lru_cache(maxsize=4)
def _final(state: tuple[Any, ...]) -> list[Negative]:
    """The final negatives of the run with this state, which `negatives.csv` is made to say."""
    run = Run(Path(state[0]))
    final, text = _derived(run)
    if _content(run.path(tables.FINAL)) != text:
        with contextlib.suppress(NegRefineError), run.locked():  # a folder that cannot be written is read as it is
            final, text = _derived(run)  # another process may have decided since
            write_atomically(run.path(tables.FINAL), text)
    return final


def _derived(run: Run) -> tuple[list[Negative], str]:
    final = decisions.kept(run.reviewable, run.rejections, run.overrides)
    return final, tables.negatives_text(final)


def _content(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""


def _without(image_set: str, values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if name != image_set}
