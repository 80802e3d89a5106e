"""A run is a folder of plain files: everything the app shows, the CLI writes and a notebook reads."""

import csv
import hashlib
import io
import json
import platform
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from . import lexicon, mining, scoring
from .errors import NegRefineError
from .mining import Negative
from .negfilter import Verdict
from .paths import BUNDLED, RUNS, from_portable, portable, write_atomically

BUNDLED_RUN = "demo"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")


class Settings(BaseModel):
    """What a run's results depend on, besides its ID labels. Defaults are the paper's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = "demo"
    pretrained: str | None = None
    fraction: float = Field(mining.FRACTION, gt=0, le=1)
    seed: int = 0
    noun_files: tuple[str, ...] = lexicon.NOUN_FILES
    adjective_files: tuple[str, ...] = lexicon.ADJECTIVE_FILES
    wordnet: str = "bundled"
    word_filter: bool = False
    sketch_templates: bool = False
    judge: str = "wordnet"
    alpha: float = scoring.ALPHA
    top_k: int = Field(scoring.TOP_K, ge=1)
    n_groups: int = Field(scoring.N_GROUPS, ge=1)
    mcm_temperature: float = Field(scoring.MCM_TEMPERATURE, gt=0)
    id_images: str | None = None
    ood_images: dict[str, str] = {}


@dataclass(frozen=True)
class Override:
    """A person's decision on a negative; `old` and `new` are "kept" or "dropped"."""

    negative: str
    old: str
    new: str
    reason: str
    who: str
    time: str


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
        run = cls(runs / name)
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
        folder = Path(name) if isinstance(name, Path) or "/" in str(name) else runs / name
        if str(name) == BUNDLED_RUN and not (folder / "run.json").exists():
            unpack_bundled_run(runs)
        if not (folder / "run.json").exists():
            known = ", ".join(run_names(runs)) or "none yet"
            raise NegRefineError(f"no run {folder.name!r} in {folder.parent}; runs there: {known}")
        run = cls(folder)
        _ = run.settings
        return run

    def path(self, name: str) -> Path:
        return self.folder / name

    @property
    def info(self) -> dict[str, Any]:
        try:
            info: dict[str, Any] = json.loads(self.path("run.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise NegRefineError(f"{self.path('run.json')} cannot be read ({error}); the run is damaged") from error
        return info

    @cached_property
    def settings(self) -> Settings:
        try:
            return Settings.model_validate(self.info.get("settings"))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise NegRefineError(f"{self.path('run.json')}: settings.{where}: {first['msg']}") from error

    def update_info(self, **values: Any) -> None:
        self._write_info(self.info | values)

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
        return self.path("id_labels.txt").read_text(encoding="utf-8").splitlines()

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
        permutation = scoring.group_permutation(len(negatives), self.settings.n_groups)
        self.update_info(permutation=permutation.tolist())

    def _read_negatives(self, name: str) -> list[Negative]:
        if not self.path(name).exists():
            step = "refine" if name == "negatives.csv" else "mine"
            raise NegRefineError(f"the run {self.name!r} has no {name} yet; do the step '{step}' first")
        with self.path(name).open(encoding="utf-8", newline="") as file:
            return [
                Negative(row["label"], "adjective" if row["pos"] == "adjective" else "noun", float(row["similarity"]))
                for row in csv.DictReader(file)
            ]

    def _write_negatives(self, name: str, negatives: Iterable[Negative]) -> None:
        self._write_csv(
            name, ("label", "pos", "similarity"), ((n.label, n.pos, f"{n.similarity:.6f}") for n in negatives)
        )

    # --- verdicts and overrides: append-only logs --------------------------------------------------------------------

    @property
    def verdicts(self) -> list[Verdict]:
        return [Verdict(**line) for line in self._read_log("verdicts.jsonl")]

    @contextmanager
    def verdict_log(self) -> Iterator["VerdictLog"]:
        """Append verdicts; each is with the operating system as soon as it is written."""
        with self._appending("verdicts.jsonl") as file:
            yield VerdictLog(file)

    @property
    def overrides(self) -> list[Override]:
        return [Override(**line) for line in self._read_log("overrides.jsonl")]

    def _read_log(self, name: str) -> list[dict[str, Any]]:
        if not self.path(name).exists():
            return []
        lines = self.path(name).read_text(encoding="utf-8").split("\n")
        return [json.loads(line) for line in lines[:-1]]  # what follows the last newline was cut by a kill

    @contextmanager
    def _appending(self, name: str) -> Iterator[IO[str]]:
        path = self.path(name)
        if path.exists():
            data = path.read_bytes()
            whole = data.rfind(b"\n") + 1
            if whole < len(data):
                with path.open("r+b") as torn:
                    torn.truncate(whole)
        with path.open("a", encoding="utf-8", buffering=1) as file:  # a line reaches the disk when it is complete
            yield file

    # --- scores and metrics -----------------------------------------------------------------------------------------

    @property
    def scored_sets(self) -> list[str]:
        return sorted(path.stem for path in self.path("scores").glob("*.parquet"))

    def scores(self, image_set: str) -> pd.DataFrame:
        path = self.path("scores") / f"{image_set}.parquet"
        if image_set not in self.scored_sets:
            raise NegRefineError(f"the run {self.name!r} has no scores of {image_set!r}; "
                                 f"scored: {', '.join(self.scored_sets) or 'nothing yet'}")  # fmt: skip
        return pd.read_parquet(path)

    def write_scores(self, image_set: str, root: Path, table: pd.DataFrame) -> None:
        buffer = io.BytesIO()
        table.to_parquet(buffer, index=False)
        write_atomically(self.path("scores") / f"{image_set}.parquet", buffer.getvalue())
        self.update_info(image_sets=self.info.get("image_sets", {}) | {image_set: portable(root)})

    def image_root(self, image_set: str) -> Path:
        """The folder that the paths in an image set's scores are relative to."""
        return from_portable(self.info["image_sets"][image_set])

    @property
    def skipped(self) -> pd.DataFrame:
        """The unreadable images: columns `image_set`, `path`, `reason`."""
        if not self.path("skipped.csv").exists():
            return pd.DataFrame(columns=["image_set", "path", "reason"])
        return pd.read_csv(self.path("skipped.csv"), keep_default_na=False)

    def write_skipped(self, image_set: str, skipped: Iterable[tuple[str, str]]) -> None:
        others = self.skipped
        rows = [tuple(row) for row in others[others["image_set"] != image_set].itertuples(index=False)]
        rows += [(image_set, path, reason) for path, reason in skipped]
        self._write_csv("skipped.csv", ("image_set", "path", "reason"), sorted(rows))

    @property
    def metrics(self) -> dict[str, Any]:
        if not self.path("metrics.json").exists():
            raise NegRefineError(f"the run {self.name!r} has no metrics yet; do the step 'evaluate' first")
        metrics: dict[str, Any] = json.loads(self.path("metrics.json").read_text(encoding="utf-8"))
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


class VerdictLog:
    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def append(self, verdict: Verdict) -> None:
        self._file.write(json.dumps(asdict(verdict), ensure_ascii=False) + "\n")


def class_list_hash(id_labels: Iterable[str]) -> str:
    return hashlib.blake2b("\n".join(id_labels).encode(), digest_size=6).hexdigest()


def run_names(runs: Path = RUNS) -> list[str]:
    return sorted(path.parent.name for path in runs.glob("*/run.json"))


def unpack_bundled_run(runs: Path = RUNS) -> None:
    """Lay the finished run that is shipped with the project beside the user's own runs."""
    with zipfile.ZipFile(BUNDLED / "demo_run.zip") as archive:
        archive.extractall(runs / BUNDLED_RUN)
