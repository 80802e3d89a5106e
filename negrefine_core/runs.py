"""A run is a folder of plain files: everything the app shows, the CLI writes and a notebook reads."""

import calendar
import contextlib
import csv
import fcntl
import hashlib
import io
import json
import os
import platform
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from . import hyperparameters, lexicon
from .errors import NegRefineError
from .labels import label_list
from .paths import BUNDLED, RUNS, file_state, from_portable, portable, write_atomically
from .records import Negative, Verdict

BUNDLED_RUN = "demo"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")


class Settings(BaseModel):
    """What a run's results depend on, besides its ID labels. Defaults are the paper's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = "demo"
    pretrained: str | None = None
    fraction: float = Field(default=hyperparameters.FRACTION, gt=0, le=1)
    seed: int = 0
    noun_files: tuple[str, ...] = lexicon.NOUN_FILES
    adjective_files: tuple[str, ...] = lexicon.ADJECTIVE_FILES
    wordnet: str = "bundled"
    word_filter: bool = False
    sketch_templates: bool = False
    judge: str = "wordnet"
    alpha: float = hyperparameters.ALPHA
    top_k: int = Field(default=hyperparameters.TOP_K, ge=1)
    n_groups: int = Field(default=hyperparameters.N_GROUPS, ge=1)
    mcm_temperature: float = Field(default=hyperparameters.MCM_TEMPERATURE, gt=0)
    id_images: str | None = None
    ood_images: dict[str, str] = {}


@dataclass(frozen=True)
class Override:
    """A person's decision on a negative; `old` and `new` are "kept" or "dropped".

    An undo is the inverse decision, with the line (from 0) in `overrides.jsonl` that it `undoes`.
    """

    negative: str
    old: str
    new: str
    reason: str
    who: str
    time: str
    undoes: int | None = None


class Run:
    """One run folder. `Run.create` makes or resumes it, `Run.open` reads it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name

    # --- the run itself -------------------------------------------------------------------------------------------

    @classmethod
    def create(cls, name: str, settings: Settings, id_labels: Sequence[str], runs: Path = RUNS) -> "Run":
        """Make the run, or resume it where it was made with the same settings and ID labels.

        Raises NegRefineError when a run of that name was made with others, naming the difference.
        """
        if not _NAME.fullmatch(name):
            raise NegRefineError(f"{name!r} cannot name a run; use letters, digits, '_', '-' and '.', at most 80")
        run, id_labels = cls(runs / name), label_list(id_labels)
        if run.path("run.json").exists():
            run._check_same(settings, id_labels)
            return run
        run.folder.mkdir(parents=True, exist_ok=True)
        run._write_lines("id_labels.txt", id_labels)
        run._write_info(
            {
                "settings": settings.model_dump(mode="json"),
                "class_list_hash": class_list_hash(id_labels),
                "versions": {"python": platform.python_version()}
                | {name: version(name) for name in ("torch", "open_clip_torch", "nltk", "scikit-learn")},
            }
        )
        return run

    @classmethod
    def open(cls, name: str | Path, runs: Path = RUNS) -> "Run":
        """Open a run by name or folder; the bundled run is unpacked when it is first asked for.

        Raises NegRefineError when there is no such run or its run.json is broken.
        """
        is_folder = isinstance(name, Path) or "/" in name
        if not is_folder and not _NAME.fullmatch(str(name)):
            raise NegRefineError(f"no run {str(name)[:90]!r}; runs there: {', '.join(run_names(runs)) or 'none yet'}")
        folder = Path(name) if is_folder else runs / name
        if str(name) == BUNDLED_RUN and not (folder / "run.json").exists():
            unpack_bundled_run(runs)
        if not (folder / "run.json").exists():
            known = ", ".join(run_names(runs)) or "none yet"
            raise NegRefineError(f"no run {folder.name!r} in {folder.parent}; runs there: {known}")
        run = cls(folder)
        _ = run.settings
        return run

    def copy(self, name: str) -> "Run":
        """This run under another name beside it, to change without changing this one; resumed where it is there.

        Raises NegRefineError when a run of that name was made with other settings or ID labels.
        """
        if not _NAME.fullmatch(name):
            raise NegRefineError(f"{name!r} cannot name a run; use letters, digits, '_', '-' and '.', at most 80")
        copied = Run(self.folder.parent / name)
        if not copied.path("run.json").exists():
            with tempfile.TemporaryDirectory(dir=self.folder.parent, prefix=".copying-") as folder:
                shutil.copytree(self.folder, Path(folder) / name)
                (Path(folder) / name).rename(copied.folder)
        copied._check_same(self.settings, self.id_labels)
        return copied

    def path(self, name: str) -> Path:
        return self.folder / name

    def state(self, *names: str, scores: Iterable[str] = ()) -> tuple[Any, ...]:
        """What tells the run, these files of it and the scores of these image sets from others and from older ones: a
        key for what they led to."""
        files = (*names, *(f"scores/{image_set}.parquet" for image_set in scores))
        return str(self.folder), *((name, file_state(self.path(name))) for name in files)

    @property
    def info(self) -> dict[str, Any]:
        """What `run.json` holds; nothing changes when the dict is changed (see `update_info`)."""
        path = self.path("run.json")
        try:
            return dict(_read_info(path, file_state(path)))
        except (OSError, ValueError, TypeError) as error:
            raise NegRefineError(f"{path} cannot be read ({error}); the run is damaged") from error

    @cached_property
    def settings(self) -> Settings:
        return checked_settings(self.info.get("settings"), f"{self.path('run.json')}: ")

    def update_info(self, **values: Any) -> None:
        with self._alone():
            self._write_info(self.info | values)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While one process reads a file of the run and writes it anew, others wait: the app and a job may both."""
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _write_info(self, info: Mapping[str, Any]) -> None:
        write_atomically(self.path("run.json"), json.dumps(info, indent=1, ensure_ascii=False) + "\n")

    def _check_same(self, settings: Settings, id_labels: Sequence[str]) -> None:
        old, new = self.settings.model_dump(), settings.model_dump()
        changed = [f"{key} {old[key]!r} -> {new[key]!r}" for key in new if old[key] != new[key]]
        if list(id_labels) != self.id_labels:
            changed.append(f"ID labels ({len(self.id_labels)} -> {len(id_labels)} names)")
        if changed:
            raise NegRefineError(f"the run {self.name!r} was made with other settings: {'; '.join(changed)}. "
                                 "Choose another name, or delete its folder to start again")  # fmt: skip

    # --- labels ---------------------------------------------------------------------------------------------------

    @property
    def id_labels(self) -> list[str]:
        try:
            return self.path("id_labels.txt").read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError) as error:
            raise NegRefineError(
                f"{self.path('id_labels.txt')} cannot be read ({error}); the run is damaged"
            ) from error

    @property
    def initial_negatives(self) -> list[Negative]:
        return self._read_negatives("initial_negatives.csv")

    def write_initial_negatives(self, negatives: Iterable[Negative]) -> None:
        self._write_negatives("initial_negatives.csv", negatives)

    @property
    def neglabel_negatives(self) -> list[Negative]:
        """The NegLabel baseline's own negatives."""
        return self._read_negatives("neglabel_negatives.csv")

    def write_neglabel_negatives(self, negatives: Iterable[Negative]) -> None:
        self._write_negatives("neglabel_negatives.csv", negatives)

    @property
    def negatives(self) -> list[Negative]:
        """The final negatives: what the verdicts and overrides left."""
        return self._read_negatives("negatives.csv")

    def write_negatives(self, negatives: Sequence[Negative]) -> None:
        self._write_negatives("negatives.csv", negatives)
        from . import scoring  # here, since torch takes seconds to import and reading a run needs none

        permutation = scoring.group_permutation(len(negatives), self.settings.n_groups)
        self.update_info(permutation=permutation.tolist())

    def _read_negatives(self, name: str) -> list[Negative]:
        if not self.path(name).exists():
            step = "refine" if name == "negatives.csv" else "mine"
            raise NegRefineError(f"the run {self.name!r} has no {name} yet; do the step '{step}' first")
        return list(_read_negatives(self.path(name), file_state(self.path(name))))

    def _write_negatives(self, name: str, negatives: Iterable[Negative]) -> None:
        self._write_csv(
            name, ("label", "pos", "similarity"), ((n.label, n.pos, f"{n.similarity:.6f}") for n in negatives)
        )

    # --- verdicts and overrides: append-only logs --------------------------------------------------------------------

    @property
    def verdicts(self) -> list[Verdict]:
        path = self.path("verdicts.jsonl")
        if not path.exists():
            return []
        return list(_read_verdicts(path, file_state(path)))

    @contextmanager
    def verdict_log(self) -> Iterator["VerdictLog"]:
        """Append verdicts; each is with the operating system as soon as it is written."""
        with self._appending("verdicts.jsonl") as file:
            yield VerdictLog(file)

    @property
    def overrides(self) -> list[Override]:
        return [Override(**line) for line in self._read_log("overrides.jsonl")]

    def append_overrides(self, overrides: Iterable[Override]) -> None:
        with self._appending("overrides.jsonl") as file:
            for override in overrides:
                file.write(json.dumps(asdict(override), ensure_ascii=False) + "\n")

    def _read_log(self, name: str) -> list[dict[str, Any]]:
        return _read_log(self.path(name)) if self.path(name).exists() else []

    @contextmanager
    def _appending(self, name: str) -> Iterator[IO[str]]:
        path = self.path(name)
        if path.exists():
            data = path.read_bytes()
            whole = data.rfind(b"\n") + 1
            if whole < len(data):
                with path.open("r+b") as torn:
                    torn.truncate(whole)
        try:
            with path.open("a", encoding="utf-8", buffering=1) as file:  # a line is written when it is complete
                yield file
        except OSError as error:
            raise NegRefineError(f"cannot write {path} ({error.strerror}); all before is kept: mend it and start "
                                 "again to go on") from error  # fmt: skip

    # --- scores and metrics -----------------------------------------------------------------------------------------

    @property
    def scored_sets(self) -> list[str]:
        return sorted(path.stem for path in self.path("scores").glob("*.parquet"))

    def scores(self, image_set: str) -> pd.DataFrame:
        path = self.path("scores") / f"{image_set}.parquet"
        if image_set not in self.scored_sets:
            raise NegRefineError(f"the run {self.name!r} has no scores of {image_set!r}; "
                                 f"scored: {', '.join(self.scored_sets) or 'nothing yet'}")  # fmt: skip
        try:
            return pd.read_parquet(path)
        except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
            raise NegRefineError(f"{path} is damaged ({error}); score the image set again") from error

    def write_scores(self, image_set: str, root: Path, tables: pd.DataFrame | Iterable[pd.DataFrame]) -> int:
        """Write an image set's scores, chunk by chunk as they come, and return how many; none leave no file."""
        path = self.path("scores") / f"{image_set}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as folder:
            count = _write_parquet(Path(folder) / path.name, [tables] if isinstance(tables, pd.DataFrame) else tables)
            if not count:
                return 0
            (Path(folder) / path.name).replace(path)
        with self._alone():
            info = self.info
            roots = info.get("image_sets", {}) | {image_set: portable(root)}
            self._write_info(info | {"image_sets": roots})
        return count

    def remove_scores(self, image_set: str) -> None:
        """Forget an image set: its scores, its pictures where they were uploaded into the run and no other run has
        scored them, and the metrics, until the run is evaluated again.

        Raises NegRefineError when there are no such scores.
        """
        if image_set not in self.scored_sets:
            raise NegRefineError(f"the run {self.name!r} has no scores of {image_set!r}")
        uploaded, others = self.path("images") / image_set, self.others_with(image_set)
        self.path(f"scores/{image_set}.parquet").unlink()
        if uploaded.is_dir() and not uploaded.is_symlink() and not others:
            shutil.rmtree(uploaded)
        self.write_skipped(image_set, [])
        with self._alone():
            info = self.info
            for name in ("image_sets", "roles", "scored_with"):
                info[name] = {key: value for key, value in info.get(name, {}).items() if key != image_set}
            self._write_info(info)
        self.path("metrics.json").unlink(missing_ok=True)

    def others_with(self, image_set: str) -> list[str]:
        """The names of the other runs that have scored the pictures which were uploaded into this one."""
        uploaded = portable(self.path("images") / image_set)
        others = (Run(self.folder.with_name(name)) for name in run_names(self.folder.parent) if name != self.name)
        found = []
        for other in others:
            with contextlib.suppress(NegRefineError):  # a damaged run stops nothing
                if uploaded in other.info.get("image_sets", {}).values():
                    found.append(other.name)
        return found

    def image_root(self, image_set: str) -> Path:
        """The folder that the paths in an image set's scores are relative to."""
        return from_portable(self.info["image_sets"][image_set])

    @property
    def id_sets(self) -> list[str]:
        """The scored image sets that show the ID classes: by their role, else those that the run was made with."""
        info = self.info
        roots, roles = info.get("image_sets", {}), info.get("roles", {})
        own = {name: "ID" for name, root in roots.items() if root == self.settings.id_images}
        return [name for name in self.scored_sets if (own | roles).get(name) == "ID"]

    @property
    def id_set(self) -> str | None:
        """The ID image set that figures are of: the last evaluation's, else the first that shows the ID classes."""
        scored = self.scored_sets
        with contextlib.suppress(NegRefineError):
            evaluated = self.metrics.get("id_set")
            if evaluated in scored:
                return str(evaluated)
        return next(iter([*self.id_sets, *scored]), None)

    def set_role(self, image_set: str, is_id: bool) -> None:
        """Say whether an image set shows the ID classes or something else."""
        with self._alone():
            info = self.info
            self._write_info(info | {"roles": info.get("roles", {}) | {image_set: "ID" if is_id else "OOD"}})

    def set_scored_with(self, image_set: str, negatives: Sequence[Negative], overrides: int) -> None:
        """Note which negatives an image set was scored with, and how many lines the overrides' log had by then."""
        record = {"negatives": class_list_hash(n.label for n in negatives), "overrides": overrides}
        with self._alone():
            info = self.info
            self._write_info(info | {"scored_with": info.get("scored_with", {}) | {image_set: record}})

    @property
    def skipped(self) -> pd.DataFrame:
        """The unreadable images: columns `image_set`, `path`, `reason`."""
        if not self.path("skipped.csv").exists():
            return pd.DataFrame(columns=["image_set", "path", "reason"])
        return pd.read_csv(self.path("skipped.csv"), dtype=str, keep_default_na=False)

    def write_skipped(self, image_set: str, skipped: Iterable[tuple[str, str]]) -> None:
        with self._alone():
            others = self.skipped
            rows = [tuple(row) for row in others[others["image_set"] != image_set].itertuples(index=False)]
            rows += [(image_set, path.encode(errors="backslashreplace").decode(), reason) for path, reason in skipped]
            self._write_csv("skipped.csv", ("image_set", "path", "reason"), sorted(rows))

    @property
    def metrics(self) -> dict[str, Any]:
        if not self.path("metrics.json").exists():
            raise NegRefineError(f"the run {self.name!r} has no metrics yet; do the step 'evaluate' first")
        try:
            metrics: dict[str, Any] = json.loads(self.path("metrics.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise NegRefineError(f"{self.path('metrics.json')} is damaged ({error}); evaluate again") from error
        return metrics

    def write_metrics(self, metrics: Mapping[str, Any]) -> None:
        write_atomically(self.path("metrics.json"), json.dumps(metrics, indent=1, ensure_ascii=False) + "\n")

    # --- files ------------------------------------------------------------------------------------------------------

    def _write_lines(self, name: str, lines: Iterable[str]) -> None:
        write_atomically(self.path(name), "".join(f"{line}\n" for line in lines))

    def _write_csv(self, name: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
        write_atomically(self.path(name), buffer.getvalue())


def _read_log(path: Path) -> list[dict[str, Any]]:
    lines = path.read_bytes().split(b"\n")[:-1]  # what follows the last newline was cut by a kill
    try:
        return [dict(json.loads(line)) for line in lines]
    except (ValueError, TypeError) as error:
        raise NegRefineError(f"{path} is damaged ({error}); mend or delete the line that is not JSON") from error


@lru_cache(maxsize=16)
def _read_info(path: Path, state: tuple[int, int, int]) -> dict[str, Any]:
    """run.json, parsed again when it was replaced: a page asks for it with every picture."""
    del state
    return dict(json.loads(path.read_text(encoding="utf-8")))


@lru_cache(maxsize=8)
def _read_negatives(path: Path, state: tuple[int, int, int]) -> tuple[Negative, ...]:
    """A list of negatives, parsed again when it was replaced: a decision in the review asks for all of them."""
    del state
    with path.open(encoding="utf-8", newline="") as file:
        return tuple(
            Negative(row["label"], "adjective" if row["pos"] == "adjective" else "noun", float(row["similarity"]))
            for row in csv.DictReader(file)
        )


@lru_cache(maxsize=2)
def _read_verdicts(path: Path, state: tuple[int, int, int]) -> tuple[Verdict, ...]:
    """The log, read again when it grew: ImageNet's 73,000 verdicts take a second."""
    del state
    return tuple(Verdict(**line) for line in _read_log(path))


def _write_parquet(path: Path, tables: Iterable[pd.DataFrame]) -> int:
    schema, count = None, 0
    with contextlib.ExitStack() as stack:
        for table in tables:
            if table.empty:
                continue
            rows = pa.Table.from_pandas(table, preserve_index=False)
            if schema is None:  # a column of nothing but None may hold text further on
                fields = [
                    field.with_type(pa.string()) if pa.types.is_null(field.type) else field for field in rows.schema
                ]
                schema = pa.schema(fields, rows.schema.metadata)
                writer = stack.enter_context(pq.ParquetWriter(path, schema))
            writer.write_table(rows.cast(schema))
            count += len(table)
    return count


class VerdictLog:
    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def append(self, verdict: Verdict) -> None:
        self._file.write(json.dumps(vars(verdict), ensure_ascii=False) + "\n")


def checked_settings(values: object, source: str = "") -> Settings:
    """Settings from outside. Raises NegRefineError naming the first one that cannot be."""
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise NegRefineError(f"{source}settings.{where}: {first['msg']}") from error


def class_list_hash(id_labels: Iterable[str]) -> str:
    return hashlib.blake2b("\n".join(id_labels).encode(), digest_size=6).hexdigest()


def is_run_name(name: str) -> bool:
    return bool(_NAME.fullmatch(name))


def run_names(runs: Path = RUNS) -> list[str]:
    return sorted(path.parent.name for path in runs.glob("*/run.json"))


def unpack_bundled_run(runs: Path = RUNS) -> None:
    """Lay the finished run that is shipped with the project beside the user's own runs, whole or not at all.

    Raises NegRefineError when the shipped archive is missing or damaged.
    """
    runs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=runs, prefix=".unpacking-") as folder:
        try:
            with zipfile.ZipFile(BUNDLED / "demo_run.zip") as archive:
                for member in archive.infolist():
                    file = archive.extract(member, Path(folder) / BUNDLED_RUN)
                    made = calendar.timegm((*member.date_time, 0, 0, 0))  # "scored on" is when it was, not today
                    os.utime(file, (made, made))
            (Path(folder) / BUNDLED_RUN).rename(runs / BUNDLED_RUN)
        except (OSError, zipfile.BadZipFile) as error:
            if (runs / BUNDLED_RUN / "run.json").exists():
                return  # another process was faster
            raise NegRefineError(f"the bundled run cannot be unpacked to {runs / BUNDLED_RUN} ({error}); make it "
                                 "again with negrefine run --name mine") from error  # fmt: skip
