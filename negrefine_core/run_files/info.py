"""`run.json`: what a run was made with, and what its steps note down about themselves."""

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from .. import hyperparameters, lexicon
from ..errors import NegRefineError
from ..paths import file_state, write_atomically
from .checks import RESTORE, with_check, without_check

FORMAT_VERSION = 3  # of run.json: 1 had no check, 2 no role "unknown"; a file without one is from before there were any

Role = Literal["ID", "OOD", "unknown"]  # what an image set shows: the ID classes, something else, or nobody knows


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Settings(_Part):
    """What a run's results depend on, besides its ID labels. Defaults are the paper's."""

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


class ModelInfo(_Part):
    """The model that mined the negatives; `fingerprint` is its weights' hash."""

    name: str
    fingerprint: str
    precision: str = ""


class PublishedResult(_Part):
    """AUROC and FPR@95 on one OOD set, from 0 to 1."""

    auroc: float
    fpr95: float


class Published(_Part):
    """What came with an imported run: results by OOD set, seconds by step; `judge` is its language model's name."""

    source: str = ""
    judge: str = ""
    seed: int = 0
    arch: str = ""
    id_set: str = ""
    seconds: Mapping[str, float] = {}
    results: Mapping[str, PublishedResult] = {}


class ScoredWith(_Part):
    """The negatives (their hash) that an image set was scored with, and the number that the next line of the overrides'
    log had then."""

    negatives: str
    overrides: int = Field(ge=0)


class RunInfo(_Part):
    """All that `run.json` holds. What no step has noted yet is empty, and not written.

    `roles` says by image set what it shows. `image_sets` and `scored_with` say so of its folder and of what it was
    scored with where its scores, of before, do not say it themselves.
    """

    format_version: int = Field(default=FORMAT_VERSION, ge=1, le=FORMAT_VERSION)
    settings: Settings
    class_list_hash: str = ""
    versions: Mapping[str, str] = {}
    edited_from: str = ""  # the run whose class list was edited to make this one
    experiment: str = ""  # of the paper, by its name in experiments.toml
    labels: str = ""  # the experiment's class list
    model: ModelInfo | None = None  # an imported run has none
    device: str = ""
    judge: str = ""  # the identity of the last that refined the run
    hashes: Mapping[str, tuple[str, ...]] = {}  # of the CSV files; two of a file that is being replaced
    verdicts: int = Field(default=0, ge=0)  # lines of the log when the judge had answered every question
    verdict_log: str = ""  # the digest of what they say: another run's log has another
    overrides: int = Field(default=0, ge=0)  # the number that the next line of the log gets
    reviews: int = Field(default=0, ge=0)  # likewise
    marks: int = Field(default=0, ge=0)  # likewise
    permutation: tuple[int, ...] = ()  # of the final negatives into their scoring groups
    image_sets: Mapping[str, str] = {}
    roles: Mapping[str, Role] = {}
    scored_with: Mapping[str, ScoredWith] = {}
    seconds: Mapping[str, float] = {}  # by step
    published: Published = Published()

    @property
    def model_name(self) -> str:
        return self.model.name if self.model else self.settings.model

    @property
    def fingerprint(self) -> str:
        """Of the model's weights; empty where there is no model."""
        return self.model.fingerprint if self.model else ""

    @field_validator("permutation")
    @classmethod
    def _is_permutation(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if sorted(value) != list(range(len(value))):
            raise ValueError(f"it is no permutation of 0 to {len(value) - 1}")
        return value

    def role(self, image_set: str, root: Callable[[], str | None]) -> Role:
        """What an image set of this folder shows: by its role, else by the folders that the run was made with."""
        if image_set in self.roles:
            return self.roles[image_set]
        folder = root()
        if folder in self.settings.ood_images.values():
            return "OOD"
        return "ID" if folder is not None and folder == self.settings.id_images else "unknown"

    def changed(self, **values: object) -> "RunInfo":
        """This with other values, checked as if they were read from a file."""
        return RunInfo.model_validate(self._noted() | values)

    def to_json(self) -> str:
        noted = self._noted(mode="json") | {"format_version": FORMAT_VERSION}
        return json.dumps(with_check(noted), indent=1, ensure_ascii=False) + "\n"

    def _noted(self, mode: Literal["json", "python"] = "python") -> dict[str, Any]:
        return self.model_dump(mode=mode, include=self.model_fields_set)


def read_info(path: Path) -> RunInfo:
    """Raises NegRefineError naming the file and what is wrong in it."""
    return _parsed(path, file_state(path))


def write_info(path: Path, info: RunInfo) -> None:
    write_atomically(path, info.to_json())


@lru_cache(maxsize=16)
def _parsed(path: Path, state: tuple[int, int, int]) -> RunInfo:
    """The file, parsed again when it was replaced: a page asks for it with every picture."""
    del state
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise NegRefineError(f"{path} cannot be read ({error}); {RESTORE}") from error
    if isinstance(content, dict):
        _check_version(path, content)
        content, is_whole = without_check(content)
        if not is_whole:
            raise NegRefineError(
                f'{path} is not as it was written; {RESTORE}. If you changed it yourself, take its line "check" out'
            )
        content = _with_device_outside_model(content)
    try:
        return RunInfo.model_validate(content)
    except ValidationError as error:
        raise NegRefineError(f"{path}: {first_fault(error)}; {RESTORE}") from error


def _check_version(path: Path, content: Mapping[str, object]) -> None:
    version = content.get("format_version", FORMAT_VERSION)
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise NegRefineError(
            f"{path} has format version {version}, and this program knows up to {FORMAT_VERSION}; "
            "update NegRefine Explorer to open the run"
        )


def _with_device_outside_model(content: dict[str, Any]) -> dict[str, Any]:
    """The first runs noted the device with the model."""
    model = content.get("model")
    if not isinstance(model, dict) or "device" not in model:
        return content
    model = dict(model)
    return content | {"device": model.pop("device"), "model": model}


def checked_settings(values: object) -> Settings:
    """Settings from outside. Raises NegRefineError naming the first one that cannot be."""
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise NegRefineError(f"settings.{first_fault(error)}") from error


def first_fault(error: ValidationError) -> str:
    """The first field that cannot be, and why."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else str(first["msg"])
