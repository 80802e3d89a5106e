"""Saved selections in Explore: the images that are shown kept under a name, opened again, compared and exported."""

import io

import numpy as np
import pandas as pd
import streamlit as st

from negrefine_core import selections, sorting
from negrefine_core.errors import NegRefineError
from negrefine_core.runs import Run

from ..shared import errors
from ..shared.scored_images import ScoredImages
from ..shared.view import bound, change, now
from ..shared.words import percent, plain, plural
from .view import ExploreView

NAME = "selection_name"  # the key of the field with a new selection's name
NEW_NAME = "selection_new_name"
ZIPPED = 2_000  # pictures that the browser is sent in one archive
NONE = ""


def saved_selections(run: Run, view: ExploreView, images: ScoredImages, shown: np.ndarray) -> None:
    """A button that opens them, and the line that says which one is looked at."""
    there = selections.names(run)
    with st.popover(f"Selections ({len(there)})" if there else "Selections", icon=":material/bookmarks:", key="saved"):
        st.selectbox(
            "Look at",
            [NONE, *there],
            format_func=lambda name: name or "All images",
            disabled=not there,
            help="A selection of this run that was saved under a name.",
            **bound(view, "selection", view.selection if view.selection in there else NONE, page=1),
        )
        st.text_input(
            f"Save the {len(shown):,} {plural(len(shown), 'image')} shown as",
            key=NAME,
            max_chars=60,
            placeholder="a name, such as striped ones",
            help="What passes the search, the filters and the choice on the map. It is kept in the run.",
        )
        st.button(
            "Save",
            key="save_selection",
            icon=":material/bookmark_add:",
            on_click=_save,
            args=(run, view, images.table[["image_set", "path"]].iloc[shown]),
        )
        _export(run, view, images.table.iloc[shown])
        if view.selection in there:
            _rename_field(run, view)
            st.button(
                f"Delete “{plain(view.selection)}”",
                key="delete_selection",
                icon=":material/delete:",
                on_click=_delete,
                args=(run, view, view.selection),
            )
            _against(view, [name for name in there if name != view.selection])
    if view.selection and images.is_within is not None:
        st.button(
            "Look at all" if selections.is_unnamed(view.selection) else f"Leave “{plain(view.selection)}”",
            key="leave_selection",
            icon=":material/deselect:",
            on_click=change,
            args=(view,),
            kwargs={"selection": "", "page": 1},
        )


def comparison(run: Run, view: ExploreView, images: ScoredImages) -> None:
    """Every score on the images of the selection, and on those of the other."""
    if not (view.selection and view.against) or view.selection == view.against:
        return
    try:
        first, second = (
            images.table[selections.chosen(images.table, selections.read(run, name))]
            for name in (view.selection, view.against)
        )
    except NegRefineError as error:
        errors.show(error, "warning")
        return
    names = [plain(name) if not selections.is_unnamed(name) else "chosen" for name in (view.selection, view.against)]
    st.markdown(f"**“{names[0]}” ({len(first):,} images) against “{names[1]}” ({len(second):,})**")
    if first.empty or second.empty:
        st.info("One of them has no image among the sets that are looked at.")
        return
    at = pd.Series({score.column: images.threshold_of(view, score.column) for score in images.offered})
    table = selections.compared(first, second, images.offered, at)
    shown = pd.DataFrame(
        {
            "Score": table["method"],
            f"Median of “{view.selection}”": table["median_1"],
            f"Median of “{view.against}”": table["median_2"],
            f"“{view.selection}” taken for ID": table["accepted_1"].map(percent),
            f"“{view.against}” taken for ID": table["accepted_2"].map(percent),
            "First scores higher (AUROC)": table["auroc"].map(percent),
        }
    )
    st.dataframe(shown, hide_index=True, alt="Every score on the images of the two selections")


def _export(run: Run, view: ExploreView, shown: pd.DataFrame) -> None:
    if len(shown) > ZIPPED:
        st.caption(f"Pictures as a ZIP: choose at most {ZIPPED:,} images.")
        return
    name = view.selection if view.selection and not selections.is_unnamed(view.selection) else "selection"
    st.download_button(
        "Pictures (ZIP)",
        data=lambda: _archive(run, shown),
        file_name=f"{run.name}-{name}.zip",
        mime="application/zip",
        icon=":material/folder_zip:",
        on_click="ignore",
        disabled=shown.empty,
        help="The pictures shown, a folder for each image set, and their list (CSV).",
    )


def _archive(run: Run, shown: pd.DataFrame) -> bytes:
    file = io.BytesIO()
    sorting.write_copies(run, shown, file)
    return file.getvalue()


def _against(view: ExploreView, others: list[str]) -> None:
    if others:
        st.selectbox(
            "Compare with",
            [NONE, *others],
            format_func=lambda name: name or "–",
            **bound(view, "against", view.against if view.against in others else NONE),
        )


@errors.told
def _save(run: Run, view: ExploreView, shown: pd.DataFrame) -> None:
    """The images that were on screen when the button was; then they are what is looked at."""
    name = " ".join(st.session_state[NAME].split())
    if not name:
        raise NegRefineError("Give the selection a name first.")
    selections.keep(run, selections.of_images(shown, name))
    change(view, selection=name, page=1)
    st.session_state[NAME] = ""


def _rename_field(run: Run, view: ExploreView) -> None:
    st.text_input(
        f"Rename “{plain(view.selection)}” to",
        key=NEW_NAME,
        max_chars=60,
        placeholder="another name",
        on_change=_rename,
        args=(run, view, view.selection),
    )


@errors.told
def _rename(run: Run, view: ExploreView, name: str) -> None:
    new = " ".join(st.session_state[NEW_NAME].split())
    if not new:
        return
    selections.rename(run, name, new)
    st.session_state[NEW_NAME] = ""
    if now(view).selection == name:
        change(view, selection=new)


@errors.told
def _delete(run: Run, view: ExploreView, name: str) -> None:
    selections.remove(run, name)
    if now(view).selection == name:
        change(view, selection="", against="", page=1)
