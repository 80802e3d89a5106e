"""What a scoring will take: time and memory, from what earlier jobs on the same device and model took."""

from dataclasses import dataclass
from statistics import median

import streamlit as st

from negrefine_core import jobs
from negrefine_core.jobs import Speed
from negrefine_core.runs import Run

from ..shared.machine import ROWS, this_machine
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
    fingerprint = run.info.fingerprint
    found = estimate(fingerprint, device, images)
    if found:
        speed = f"{pace(found.rate, 'images')} and {found.memory / 1024**2:,.0f} MB of memory"
        time = f"At most about {duration(found.seconds)}: " if found.seconds else ""
        text = f"{time}{speed}, as earlier scorings took. Images that the cache knows take a fraction of the time."
    else:
        text = _by_arithmetic(run, device, images)
    st.caption(f":material/timer: {text}")


def _by_arithmetic(run: Run, device: str, images: int | None) -> str:
    """Of a model in the list, on the device that was measured."""
    row = ROWS.get(run.settings.model) if not run.settings.pretrained else None
    machine = this_machine() if row else None
    if not row or not machine or machine.device.split(":")[0] != device:
        return "How long new images take with this model is not known here yet: the first ones will tell."
    rate = row.costs.images_per_second(machine.rate)
    time = f"About {duration(images / rate)}: " if images else ""
    return f"{time}{pace(rate, 'images')} at this moment’s pace, by the model’s arithmetic."
