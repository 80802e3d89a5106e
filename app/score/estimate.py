"""What a scoring will take: time and memory, from what earlier jobs on the same device and model took, else by what
the model consists of."""

from dataclasses import dataclass
from statistics import median

import streamlit as st

from negrefine_core import jobs
from negrefine_core.errors import NegRefineError
from negrefine_core.hyperparameters import IMAGE_BATCH
from negrefine_core.jobs import Speed
from negrefine_core.models import gigabytes
from negrefine_core.runs import Run

from ..shared.machine import costs_of, this_machine
from ..shared.words import duration, pace

LATEST = 5  # scorings


@dataclass(frozen=True)
class Estimate:
    """`seconds` at most for the images (None where their number is unknown), at `rate` new images a second."""

    rate: float
    seconds: float | None
    memory: int


def estimate(fingerprint: str, device: str, images: int | None) -> Estimate | None:
    """None while no scoring of new images with this model has been timed on this device."""
    speeds = [speed for speed in _measured(fingerprint, device) if speed.embedded * 2 > speed.images][:LATEST]
    if not speeds:
        return None
    rate = median(speed.images / speed.seconds for speed in speeds)
    return Estimate(rate, images / rate if images else None, max(speed.peak for speed in speeds))


def _measured(fingerprint: str, device: str) -> list[Speed]:
    """The scorings of a model on a device, the newest first."""
    found = ((job.progress.device, job.progress.speeds) for job in jobs.all_jobs())
    return [s for on, speeds in found if on.split(":")[0] == device for s in speeds if s.fingerprint == fingerprint]


def scoring_estimate(run: Run, device: str, images: int | None) -> None:
    """The estimate in words: of what was measured, else by the model's arithmetic."""
    found = estimate(run.info.fingerprint, device, images)
    text = _as_before(found) if found else _by_arithmetic(run, device, images)
    st.caption(f":material/timer: {text}")


def _as_before(found: Estimate) -> str:
    time = f"At most about {duration(found.seconds)}: " if found.seconds else ""
    return (
        f"{time}{pace(found.rate, 'images')} and {gigabytes(found.memory)} of memory, as earlier scorings took. Images "
        "that the cache knows take a fraction of the time."
    )


def _by_arithmetic(run: Run, device: str, images: int | None) -> str:
    """By what the model consists of: the time on the device that was measured, the memory on a processor."""
    try:
        costs = costs_of(run.settings.model, run.settings.pretrained)
    except NegRefineError:
        costs = None
    machine = this_machine() if costs else None
    if not costs or not machine or machine.device.split(":")[0] != device:
        said = "How long new images take with this model is not known here yet: the first ones will tell."
    else:
        rate = costs.images_per_second(machine.rate)
        time = f"About {duration(images / rate)}: " if images else ""
        said = f"{time}{pace(rate, 'images')} at this moment’s pace, by the model’s arithmetic."
    if not costs or device != "cpu":
        return said
    made_of = f"{costs.parameters / 1e6:,.0f} million weights and {IMAGE_BATCH} images at once"
    return f"{said} About {gigabytes(costs.memory)} of memory: {made_of}."
