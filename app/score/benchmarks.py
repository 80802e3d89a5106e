"""The paper's image sets below a folder of the server: which are there, what is amiss, and which to score."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import streamlit as st

from negrefine_core import paths
from negrefine_core.benchmarks.datasets import Dataset
from negrefine_core.benchmarks.experiments import experiments
from negrefine_core.benchmarks.folders import Found, class_folders, survey
from negrefine_core.errors import NegRefineError
from negrefine_core.labels import PAPER_FORM, class_list_presets, read_class_list
from negrefine_core.runs import Run

from ..shared import background
from ..shared.view import bound
from ..shared.words import contamination, plain
from .view import ScoreView

USUAL = paths.DATA / "datasets"
LOOKS = "benchmark_looks"  # counts how often the session has asked to look again
STATES = ("complete", "incomplete", "missing")
Survey = list[tuple[Dataset, Found | NegRefineError]]


def benchmark_root(view: ScoreView) -> Path:
    return Path(view.root or USUAL).expanduser()


def choose_benchmark_sets(run: Run, view: ScoreView) -> dict[str, tuple[Found, bool]] | None:
    """The widgets; the chosen sets by name with whether they show the ID classes. None until something is chosen."""
    _ask_root(view)
    folder = benchmark_root(view)
    if not folder.is_absolute():
        raise NegRefineError(f"{view.root!r} is not a whole path; it starts with / or ~")
    if view.root and not folder.is_dir():
        raise NegRefineError(f"no folder {folder}; give the one that holds the image sets")
    surveyed = _surveyed(folder)
    if surveyed is None:
        return None
    found = {entry.name: result for entry, result in surveyed if isinstance(result, Found)}
    st.caption(
        f"**{len(found)} of {len(surveyed)}** image sets are here. A set that is incomplete can be scored, but its "
        "figures are not the paper’s. Select a cell to read all of it."
    )
    st.dataframe(
        _table(folder, surveyed),
        hide_index=True,
        placeholder="–",
        height=38 + 35 * 9,
        alt="The paper’s image sets: what is found and missing",
        column_config={
            "Get it": st.column_config.LinkColumn("Get it", display_text="source"),
            "Images": st.column_config.NumberColumn("Images", format="localized"),
            "What to know": st.column_config.TextColumn("What to know", width="large"),
            "Problem": st.column_config.TextColumn("Problem", width="large"),
        },
    )
    _experiments(folder, found)
    if not found:
        st.info("None of the image sets is here. Download one, or type the folder that holds them above.")
        return None
    return _chosen(run, found)


def _ask_root(view: ScoreView) -> None:
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    left.text_input(
        "Folder that holds the image sets",
        placeholder=str(USUAL),
        help="A folder on the computer that runs this app, with a subfolder for each set as it is unpacked.",
        **bound(view, "root"),
    )
    if right.button("Look again", icon=":material/refresh:", help="After a download or a move.", width="stretch"):
        st.session_state[LOOKS] = st.session_state.get(LOOKS, 0) + 1


def _surveyed(folder: Path) -> Survey | None:
    """None while the pictures are counted, which takes seconds on whole sets."""
    changed = folder.stat().st_mtime_ns if folder.is_dir() else 0
    key = ("survey", str(folder), changed, st.session_state.get(LOOKS, 0))
    return background.result(key, lambda: survey(folder), f"Counting the pictures under {plain(str(folder))}")


def _state(result: Found | NegRefineError | None) -> str:
    if not isinstance(result, Found):
        return "missing"
    return "incomplete" if result.problems else "complete"


def _table(folder: Path, surveyed: Survey) -> pd.DataFrame:
    """A row a set, those that are there first."""
    rows = [
        {
            "Image set": entry.title,
            "State": _state(result),
            "Images": len(result.images) if isinstance(result, Found) else None,
            "Published": " or ".join(f"{count:,}" for count in entry.counts) or "not known",
            "Problem": _problem(folder, entry, result),
            "Get it": entry.url,
            "Licence": entry.licence,
            "What to know": entry.note,
        }
        for entry, result in surveyed
    ]
    table = pd.DataFrame(rows)
    return table.sort_values("State", key=lambda states: states.map(STATES.index), kind="stable", ignore_index=True)


def _problem(folder: Path, entry: Dataset, result: Found | NegRefineError) -> str:
    if isinstance(result, Found):
        return "; ".join(result.problems)
    return str(result) if folder.is_dir() else f"expected in {folder / entry.folders[0]}"


def _experiments(folder: Path, found: dict[str, Found]) -> None:
    rows = []
    for entry in experiments():
        states = {name: _state(found.get(name)) for name in entry.image_sets}
        lacking = [name for name in states if states[name] == "missing"]
        partial = [name for name in states if states[name] == "incomplete"]
        said = f"incomplete: {', '.join(partial)}" if partial else "ready"
        if lacking:
            said = f"lacks {', '.join(lacking)}"
        rows.append(
            {
                "Experiment": entry.title,
                "State": said,
                "Class list": entry.labels,
                "ID images": entry.id,
                "OOD images": ", ".join(entry.image_sets[1:]),
                "Command": f"negrefine benchmark {entry.name} --root '{folder}'",
            }
        )
    ready = sum(row["State"] == "ready" for row in rows)
    with st.expander(f"The paper’s experiments: {ready} of {len(rows)} can be run with these sets"):
        st.caption(
            "An experiment takes an ID set, its class list and several OOD sets. Its command, in a terminal, mines, "
            "refines and scores over 10 seeds; each seed is a run here, and Compare shows their mean beside the paper."
        )
        st.dataframe(pd.DataFrame(rows), hide_index=True, alt="The paper’s experiments and whether their sets are here")


def _chosen(run: Run, found: dict[str, Found]) -> dict[str, tuple[Found, bool]] | None:
    names = {name: f"{each.dataset.title} ({len(each.images):,})" for name, each in found.items()}
    fitting = next((name for name, each in found.items() if _fits(run, each.dataset)), "")
    inside = st.selectbox(
        "Set of your ID classes",
        ["", *names],
        index=["", *names].index(fitting),
        key="score_benchmark_id",
        format_func=lambda name: names.get(name, "none this time"),
        help="In-distribution (ID): its pictures show this run’s classes. Suggested where the class names agree.",
    )
    outside = st.pills(
        "Sets of something else: out-of-distribution (OOD)",
        [name for name in names if name != inside],
        selection_mode="multi",
        key="score_benchmark_ood",
        format_func=names.__getitem__,
    )
    for warning in _warnings(run, found, inside, outside):
        st.warning(warning, icon=":material/warning:")
    if note := contamination(outside):
        st.caption(f":material/info: {note}")
    chosen = {name: (found[name], name == inside) for name in filter(None, [inside, *outside])}
    return chosen or None


def _warnings(run: Run, found: dict[str, Found], inside: str, outside: list[str]) -> Iterator[str]:
    """What makes the figures mean little: other ID classes, or OOD pictures of the ID classes."""
    if not inside:
        return
    own = found[inside].dataset
    if not _fits(run, own):
        yield (
            f"The run’s {len(run.id_labels):,} ID classes are not those of {plain(own.title)}, so its pictures may "
            "show none of them. Choose its class list under “ID classes” for a fair figure."
        )
    for entry in (found[name].dataset for name in outside):
        if own.class_folders and entry.class_folders:
            shared = set(class_folders(own.class_folders)).intersection(class_folders(entry.class_folders))
            if shared:
                yield f"{plain(entry.title)} has {len(shared):,} of the ID classes too: it is not out-of-distribution."


def _fits(run: Run, entry: Dataset) -> bool:
    """Whether the run's ID classes are the set's class list, mended or as published."""
    lists = {entry.labels, entry.labels + PAPER_FORM}.intersection(class_list_presets()) if entry.labels else ()
    return any(list(read_class_list(name).labels) == run.id_labels for name in sorted(lists))
