"""How quick this computer is, which models are here, and what one takes: found out aside from the page."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from negrefine_core import jobs
from negrefine_core.errors import UnfinishedError
from negrefine_core.models import MODELS, TEXTS, Costs

from . import background

ROWS = {model.name: model for model in MODELS}


@dataclass(frozen=True)
class Machine:
    """`rate` is its speed in GFLOP a second on its `device`; `here` says of each model in the list if it is here."""

    rate: float
    device: str
    here: Mapping[str, bool]

    def mining_before(self, model: str, pretrained: str | None, texts: int = TEXTS) -> float | None:
        """Seconds that so many of the lexicon's texts take at the pace at which this model was last mined with here;
        None where it was not."""
        pace = jobs.measured_rates(self.device).get(jobs.by_model("prompts", model, pretrained))
        return texts / pace if pace else None


def this_machine() -> Machine | None:
    """None, and a sign of waiting, until it is known. Looked up again after each download."""
    key = ("machine", *((job.id, job.state) for job in downloads()[:1]))
    return background.result(key, _looked_up, "Looking which models are here, and how quick this computer is …")


def costs_of(model: str, pretrained: str | None) -> Costs | None:
    """What a model takes: at once of one in the list, else counted aside from the page. None until then, and for a
    repository that is not here, whose shapes come with it. Raises NegRefineError where it cannot be counted."""
    if model in ROWS and not pretrained:
        return ROWS[model].costs
    key = ("costs", model, pretrained)
    try:
        return background.result(key, partial(_counted, *key[1:]), "Counting what it takes …")
    except UnfinishedError:
        return None


def downloads() -> list[jobs.Job]:
    """The jobs that download alone, the newest first."""
    return [job for job in jobs.all_jobs() if all(isinstance(step, jobs.Download) for step in job.spec.steps)]


def _looked_up() -> Machine:
    from negrefine_core import weights
    from negrefine_core.benchmarks.costs import machine_rate
    from negrefine_core.encoder import pick_device

    return Machine(machine_rate(), str(pick_device("auto")), {name: weights.is_here(name, None) for name in ROWS})


def _counted(model: str, pretrained: str | None) -> Costs:
    from negrefine_core import weights
    from negrefine_core.benchmarks.costs import costs

    if model.startswith("hf-hub:") and not weights.shapes(model):
        raise UnfinishedError(f"what {model} takes is known once it is here")
    return costs(model, pretrained)
