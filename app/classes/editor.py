"""The editor of a class list: where it starts from, its table, and what is wrong with it, all kept in the draft."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import streamlit as st

from negrefine_core.errors import NegRefineError
from negrefine_core.labels import class_list_presets, read_class_list
from negrefine_core.runs import Settings

from ..shared import errors
from ..shared.errors import told
from ..shared.words import plain
from . import draft
from .draft import Base
from .problems import Problem, mended, problems, trimmed
from .prompts import longest_prompt, preview, tokens
from .sources import from_file, from_text

COLUMN = "Class"


@dataclass(frozen=True)
class Table:
    """The rows that the table widget `key` was made with; `now` is what its edits have made of them."""

    base: str
    rows: tuple[str, ...]
    now: tuple[str, ...]
    number: int = 0

    @property
    def key(self) -> str:
        return f"class_table_{self.number}"


def class_editor(base: Base, settings: Settings) -> list[str]:
    """The editor; returns the names as they would be mined, or none while a problem blocks that."""
    _sources(base)
    left, right = st.columns([5, 6], gap="large")
    with left:
        rows = _table(base)
    usable = mended(rows)
    with right:
        found = st.container()
        with st.container():  # keeps its place, so that nothing below moves when the tokenizer is there
            counter = tokens(settings)
        listed = problems(
            rows,
            lambda name: counter is not None and counter.count(longest_prompt(settings, name)) > counter.context,
            counter.context if counter else None,
        )
        with found:
            for problem in listed:
                _point_out(problem)
            if usable != trimmed(rows) and usable:
                st.button(
                    "Mend the list",
                    icon=":material/build:",
                    on_click=_mend,
                    args=(base,),
                    help="Leaves out blanks, repeated names and characters that cannot be seen. Can be undone.",
                )
        preview(settings, usable, counter)
    return [] if any(problem.blocks for problem in listed) else usable


def _point_out(problem: Problem) -> None:
    if problem.is_hint:
        st.info(problem.text, icon=":material/edit_note:")
    else:
        (st.error if problem.blocks else st.warning)(problem.text, icon=":material/error_outline:")


@told
def _mend(base: Base) -> None:
    draft.edit(base, mended(draft.names(base)))


def _sources(base: Base) -> None:
    """Ways to replace the whole list, and the ways back and forth."""
    with st.container(horizontal=True):
        for words, icon, source in (
            ("Preset", "list", _preset),
            ("Paste", "content_paste", _paste),
            ("Upload", "upload", _upload),
        ):
            with st.popover(words, icon=f":material/{icon}:", key=f"source_{words}", on_change="rerun"):
                if wrong := st.session_state.get(f"wrong_{words}"):
                    errors.show(wrong)
                source(base)
        st.button(
            "Undo",
            icon=":material/undo:",
            disabled=not draft.can_undo(base),
            on_click=told(draft.undo),
            args=(base,),
            help="Takes back the last change of the list, then the one before, and so on.",
        )
        st.button(
            "Redo",
            icon=":material/redo:",
            disabled=not draft.can_redo(base),
            on_click=told(draft.redo),
            args=(base,),
            help="Makes the change again that was taken back last.",
        )
        st.button(
            "Discard changes" if base.id_labels else "Clear the list",
            icon=":material/restart_alt:",
            on_click=told(draft.discard),
            args=(base,),
            disabled=draft.names(base) == base.id_labels and not draft.chosen(base),
            help=f"Back to the classes of the run {plain(base.name)}." if base.id_labels else "Undo brings it back.",
        )


def _preset(base: Base) -> None:
    preset = st.selectbox("Published class list", class_list_presets(), key="preset", index=None, placeholder="Choose")
    if preset:
        _offer(base, _preset_names, "Preset")


def _preset_names() -> list[str]:
    return list(read_class_list(st.session_state["preset"]).labels)


def _paste(base: Base) -> None:
    with st.form("paste", enter_to_submit=False, border=False):
        st.text_area(
            "The whole list, one class a line", key="pasted", height=180, placeholder="red fox\narctic fox\nbadger"
        )
        st.form_submit_button(
            "Replace the list with these",
            key="use_Paste",
            type="primary",
            on_click=_use,
            args=(base, _pasted_names, "Paste"),
        )


def _pasted_names() -> list[str]:
    return from_text(st.session_state["pasted"])


def _upload(base: Base) -> None:
    file = st.file_uploader(
        "Text file with one class a line, or CSV",
        type=["txt", "csv"],
        key="uploaded",
        help="Of a CSV file, the column called class, name or label is taken; else the first.",
    )
    if file:
        _offer(base, _uploaded_names, "Upload")


def _uploaded_names() -> list[str]:
    file = st.session_state["uploaded"]
    return from_file(file.name, file.getvalue())


def _offer(base: Base, read: Callable[[], list[str]], source: str) -> None:
    """What a source holds, with the button that makes it the list; or what is wrong with it."""
    try:
        rows = read()
    except NegRefineError as error:
        errors.show(error)
        return
    first = ", ".join(plain(row[:40]) for row in rows[:6] if row.strip())
    st.caption(f"{_counted(rows)}: {first}{' …' if len(rows) > 6 else ''}")
    st.button(
        "Replace the list with these", key=f"use_{source}", type="primary", on_click=_use, args=(base, read, source)
    )


def _use(base: Base, read: Callable[[], list[str]], source: str) -> None:
    """Make the list what the source holds now; where that cannot be, its popover says why."""
    try:
        draft.edit(base, read())
    except NegRefineError as error:
        st.session_state[f"wrong_{source}"] = str(error)
        return
    st.session_state.pop(f"wrong_{source}", None)
    st.session_state[f"source_{source}"] = False  # closes the popover


def _counted(rows: Sequence[str]) -> str:
    """How many rows there are, and how many of them can be used where some are blank or repeated."""
    count, usable = len(trimmed(rows)), len(mended(rows))
    words = f"{count:,} {'row' if count == 1 else 'rows'}"
    return f"{words}, {usable:,} of them usable" if usable < count else words


def _table(base: Base) -> list[str]:
    """The table, made anew where the draft holds what the table does not show: its own edits live in the browser."""
    names, table = tuple(draft.names(base)), st.session_state.get("class_table")
    if not table or (table.base, table.now) != (base.name, names) or table.key not in st.session_state:
        table = Table(base.name, names, names, table.number + 1 if table else 0)
        st.session_state["class_table"] = table
    st.markdown(
        f"**{_counted(names)}**{_draft_badge(base, names)}",
        help="Click a cell to change it, the last row to add one; tick rows to delete them. Every change is kept at "
        "once, on this machine.",
    )
    st.data_editor(
        pd.DataFrame({COLUMN: list(table.rows)}, dtype=str),
        key=table.key,
        num_rows="dynamic",
        height=460,
        column_config={COLUMN: st.column_config.TextColumn(COLUMN)},
        placeholder="",
        on_change=_keep,
        args=(base, table),
        alt="The ID class names, one a row",
    )
    return list(names)


def _draft_badge(base: Base, names: Sequence[str]) -> str:
    """That the list is not the run's, where it is not, and whose it is."""
    if list(names) == base.id_labels:
        return ""
    what = f"A draft, not the classes of {plain(base.name)}" if base.id_labels else "A draft"
    return f" :orange-badge[:material/edit_note: {what}: this server’s, for whoever opens this page]"


@told
def _keep(base: Base, table: Table) -> None:
    now = edited(table.rows, st.session_state[table.key])
    draft.edit(base, now)
    st.session_state["class_table"] = replace(table, now=tuple(now))


def edited(rows: Sequence[str], edits: Mapping[str, Any]) -> list[str]:
    """Rows after the table widget's edits: changed cells, deleted rows and added ones, as Streamlit keeps them."""
    changed = {int(row): cells[COLUMN] or "" for row, cells in edits["edited_rows"].items() if COLUMN in cells}
    gone = set(edits["deleted_rows"])
    kept = [changed.get(i, row) for i, row in enumerate(rows) if i not in gone]
    return kept + [str(added.get(COLUMN) or "") for added in edits["added_rows"]]
