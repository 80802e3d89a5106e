"""The model of the new run: the real choices up front, what each takes on this machine, and its download."""

from collections.abc import Mapping
from functools import partial

import streamlit as st

from negrefine_core import jobs
from negrefine_core.errors import NegRefineError
from negrefine_core.models import Costs, gigabytes, is_toy
from negrefine_core.runs import Settings

from ..shared import background, errors
from ..shared.clicks import clicked
from ..shared.job_panel import job_panel
from ..shared.machine import ROWS, Machine, costs_of, downloads, this_machine
from ..shared.toy import TOY
from ..shared.words import duration, pace
from . import draft
from .draft import Base

OTHER = "another"
PACE = "at this moment’s pace"


def model_form(base: Base, chosen: Settings, sampled: Mapping[str, float]) -> None:
    """The models in a list, and below it what there is to know and do about the chosen one.

    `sampled` are the seconds that mining takes, by model, where they were sampled.
    """
    st.subheader("Model", help="It decides what the new run can see. Another one means a new run; this one stays.")
    options, in_list = [*ROWS, OTHER], _is_in_list(chosen)
    st.session_state["new_model"] = chosen.model if in_list else OTHER
    place = st.container()
    machine = this_machine()
    place.radio(
        "Model",
        options,
        key="new_model",
        format_func=_title,
        captions=[_caption(name, machine, sampled.get(name)) for name in options],
        label_visibility="collapsed",
        on_change=_choose,
        args=(base,),
    )
    if not in_list:
        _another(base, chosen, machine)
    if is_toy(chosen.model):
        st.warning(TOY, icon=":material/toys:")
    if machine:
        st.caption(
            ":material/timer: Times are estimates at this moment’s pace, and several times that beside more work: each "
            f"model’s arithmetic at the {machine.rate:,.0f} billion operations a second that were measured here. "
            "“Mined in” is what it took. Mining embeds the lexicon’s words, once for each model."
        )
    _download(chosen, machine)


def _is_in_list(chosen: Settings) -> bool:
    return chosen.model in ROWS and not chosen.pretrained


def _title(name: str) -> str:
    return f"**{name}** · {ROWS[name].title}" if name in ROWS else "**another** of open_clip’s, or your own"


def _caption(name: str, machine: Machine | None, mining: float | None) -> str:
    if name == OTHER:
        return "any architecture with its weights, a repository of Hugging Face’s, or a folder"
    model = ROWS[name]
    place = "bundled" if model.is_toy else gigabytes(model.costs.download)
    if machine and not model.is_toy:
        place += ", here already" if machine.here[name] else " to download"
    return f"{model.note}  \n{place} · {_takes(model.costs, machine, name, None, mining)}"


def _takes(
    costs: Costs, machine: Machine | None, model: str, pretrained: str | None, mining: float | None = None
) -> str:
    """Memory, and the time on this machine once its speed is known."""
    parts = [f"{gigabytes(costs.memory)} of memory"]
    if machine:
        parts.append(_speed(costs.images_per_second(machine.rate)))
        if mining is not None:
            parts.append(f"mines in about {duration(mining)}")
        elif before := machine.mining_before(model, pretrained):
            parts.append(f"mined in about {duration(before)}")
        else:
            parts.append(f"mines in about {duration(costs.mining_seconds(machine.rate))}")
    return " · ".join(parts)


def _speed(a_second: float) -> str:
    return f"about {pace(a_second, 'pictures')}" if a_second >= 1 else f"about {duration(1 / a_second)} a picture"


def mining_time(chosen: Settings) -> str:
    """How long mining with a model from nothing takes here, in words; empty until it is known."""
    machine = this_machine()
    try:
        costs = costs_of(chosen.model, chosen.pretrained)
    except NegRefineError:
        return ""  # told beside the name
    if machine and (before := machine.mining_before(chosen.model, chosen.pretrained)):
        return f"about {duration(before)}, as before"
    return f"about {duration(costs.mining_seconds(machine.rate))}, {PACE}" if machine and costs else ""


def _choose(base: Base) -> None:
    model = st.session_state["new_model"]
    if model == OTHER:
        draft.choose(base, model="ViT-B-32", pretrained="openai")
    else:
        draft.choose(base, model=model, pretrained=None)


def _another(base: Base, chosen: Settings, machine: Machine | None) -> None:
    """The names of any other model, and what it takes."""
    for place, field, label, value, help_text in zip(
        st.columns(2),
        ("model", "pretrained"),
        ("open_clip’s model name", "Weights"),
        (chosen.model, chosen.pretrained or ""),
        ("ViT-B-32, hf-hub:ORG/NAME or local-dir:FOLDER", "A tag such as laion2b_s34b_b79k, or a file"),
        strict=True,
    ):
        key = f"new_{field}_name"
        st.session_state[key] = value
        place.text_input(label, key=key, help=help_text, on_change=_keep, args=(base, field))
    try:
        costs = costs_of(chosen.model, chosen.pretrained)
    except NegRefineError as error:
        errors.show(error, "warning")
        return
    if costs:
        st.caption(f"{gigabytes(costs.download)} · {_takes(costs, machine, chosen.model, chosen.pretrained)}")


def _keep(base: Base, field: str) -> None:
    draft.choose(base, **{field: st.session_state[f"new_{field}_name"].strip() or None})


def _is_here(chosen: Settings, machine: Machine | None, last: str) -> bool:
    """Whether nothing has to be downloaded; also while it is not known. `last` tells the last download from others."""
    if _is_in_list(chosen):
        return machine is None or machine.here[chosen.model]
    key = ("here", chosen.model, chosen.pretrained, last)
    return background.result(key, partial(_found, *key[1:3]), "Looking for the model …") is not False


def _found(model: str, pretrained: str | None) -> bool:
    from negrefine_core import weights

    return weights.is_here(model, pretrained)


def _download(chosen: Settings, machine: Machine | None) -> None:
    """The chosen model's download: the button, or how far it is."""
    step = jobs.Download(model=chosen.model, pretrained=chosen.pretrained)
    job = next((job for job in downloads() if job.spec.steps == (step,)), None)
    if job and job.state in jobs.ACTIVE:
        job_panel(job)
        return
    if _is_here(chosen, machine, f"{job.id} {job.state}" if job else ""):
        return
    if job and job.state != "done":
        job_panel(job)
        return
    size = f" ({gigabytes(ROWS[step.model].costs.download)})" if step.model in ROWS else ""
    if clicked(
        f"Download it now{size}",
        "download_model",
        icon=":material/download:",
        type="secondary",
        help="In the background, and it goes on where it stopped. Without this, mining downloads it first.",
    ):
        name = step.model if not step.pretrained else f"{step.model}/{step.pretrained}"
        jobs.start(jobs.Spec(title=f"Download {name}", run="", steps=(step,)))
        st.rerun()
