"""What a background job does, and how far it is, as its files keep them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..engines import EngineName
from ..hyperparameters import IN_FLIGHT
from ..maps import Projection
from ..run_files.info import Role

Unit = Literal["bytes", "prompts", "labels", "images", "comparisons", "rounds"]  # in which a step counts
State = Literal["queued", "running", "done", "cancelled", "failed", "interrupted"]


class _Step(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    unit: ClassVar[Unit] = "labels"


class Download(_Step):
    """Fetch a model's weights, unless they are here; the job needs no run."""

    unit: ClassVar[Unit] = "bytes"
    step: Literal["download"] = "download"
    model: str
    pretrained: str | None = None


class Mine(_Step):
    """Mine the run's negatives."""

    unit: ClassVar[Unit] = "prompts"
    step: Literal["mine"] = "mine"


class _Asking(_Step):
    """`judge` is an identity such as `wordnet` or `openai:MODEL@URL`; empty: the run's."""

    judge: str = ""
    in_flight: int = Field(default=IN_FLIGHT, ge=1)
    rate_limit: float | None = Field(default=None, gt=0)


class Refine(_Asking):
    """Judge the run's negatives."""

    step: Literal["refine"] = "refine"


class Try(_Asking):
    """Try the judge on labels that people decided: in the run, or in a CSV file (absolute path)."""

    step: Literal["try"] = "try"
    standard: str = ""


class Score(_Step):
    """Score the pictures below a folder (absolute path) as an image set; `role` says what they show.

    With `class_folders`, they are those of these subfolders alone ("": of none). With `dataset`, they are those of that
    set of the registry, and `folder` is the root that holds the sets. With `same_as`, the name of a run, they are those
    that it has under the image set's name, and there is no folder.
    With Ray as the engine, the cluster is the one that its own RAY_ADDRESS names, or one on this machine.
    """

    unit: ClassVar[Unit] = "images"
    step: Literal["score"] = "score"
    image_set: str
    folder: str = ""
    class_folders: tuple[str, ...] = ()
    dataset: str = ""
    same_as: str = ""
    role: Role | None = None  # None: as before
    engine: EngineName = "local"

    @model_validator(mode="before")
    @classmethod
    def _with_role(cls, values: Any) -> Any:
        """Jobs of before said only whether the pictures show the ID classes."""
        if not isinstance(values, dict) or "is_id" not in values:
            return values
        known: dict[bool | None, Role] = {True: "ID", False: "OOD"}
        others = {name: value for name, value in values.items() if name != "is_id"}
        return others | {"role": known.get(values["is_id"])}


class Evaluate(_Step):
    """Compute the run's metrics: of the ID set (empty: `Run.id_set`) against every set that was said to be OOD."""

    unit: ClassVar[Unit] = "comparisons"
    step: Literal["evaluate"] = "evaluate"
    id_set: str = ""


class DrawMap(_Step):
    """Draw the map of scored image sets or, where none is named, of the run's labels, by what it knows of them; with
    the labels of the run of `before`."""

    unit: ClassVar[Unit] = "rounds"
    step: Literal["map"] = "map"
    image_sets: tuple[str, ...] = ()
    projection: Projection = "tsne"
    by: Literal["model", "questions"] = "model"
    before: str = ""


Step = Download | Mine | Refine | Try | Score | Evaluate | DrawMap


class Spec(BaseModel):
    """What a job does; `run` is empty where all it does is to download."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    run: str
    steps: tuple[Annotated[Step, Field(discriminator="step")], ...]
    device: str = "auto"


@dataclass(frozen=True)
class Progress:
    """How far a job is. Times are in seconds since 1970; `rate` is in items a second and `eta` in seconds.

    `done`, `total` and `rate` are the step's; `share` (from 0 to 1, it never falls) and `eta` are the whole job's.
    `messages` has a sentence for each step that is done; `speeds` what each scoring took, and `rates` how many items a
    second each kind of work did, for later estimates.
    """

    state: Literal["queued", "running", "done", "failed"]
    queued: float
    device: str = ""  # empty until the worker has found out
    step: str = ""
    number: int = 0  # of the step, from 1
    unit: Unit = "labels"  # of what is done
    done: int = 0
    total: int = 0
    rate: float | None = None
    share: float = 0.0
    eta: float | None = None
    waiting: str = ""  # for whom, where no answer has come for a while
    messages: tuple[str, ...] = ()
    speeds: tuple["Speed", ...] = ()
    rates: Mapping[str, float] = field(default_factory=dict)  # by `plan.Part.pace`
    error: str = ""
    ended: float | None = None


@dataclass(frozen=True)
class Speed:
    """A scoring of `images`, of which `embedded` were new to the cache, by a model; `peak` is in bytes of memory."""

    fingerprint: str
    images: int
    embedded: int
    seconds: float
    peak: int
