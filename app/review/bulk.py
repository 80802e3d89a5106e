"""Decisions on a whole queue, after a count and a question; and decisions carried to and from CSV files."""

import streamlit as st

from negrefine_core import overrides
from negrefine_core.decisions import next_number
from negrefine_core.errors import NegRefineError
from negrefine_core.overrides import DROPPED, KEPT, Seen
from negrefine_core.records import Override
from negrefine_core.runs import Run

from ..shared.errors import told
from ..shared.reviewer import reviewer
from .actions import BULK, numbers, own_lines
from .queue import Queue

AGREE = "agree"
ASKED, DONE = "bulk_asked", "bulk_done"
ACTIONS = {KEPT: "Restore", DROPPED: "Drop", AGREE: "Keep as decided"}
MEANINGS = {
    KEPT: "Every label of the queue is a negative again.",
    DROPPED: "No label of the queue is a negative any more.",
    AGREE: "Nothing changes; the labels count as reviewed.",
}


def bulk_actions(run: Run, queue: Queue) -> None:
    """The buttons for all labels of the queue, and for files."""
    count = int(queue.inside.sum())
    with st.container(horizontal=True, gap="small"):
        st.button(
            f"Decide on all {count:,} …",
            icon=":material/checklist:",
            disabled=not count,
            key="bulk_open",
            on_click=lambda: st.session_state.update({ASKED: True}),
            help="Decide on every label that passes the filters above; you are asked before anything is done.",
        )
        st.download_button(
            "Export decisions",
            data=lambda: overrides.export_text(run)[0],
            file_name=f"{run.name}-decisions.csv",
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
            help="The decisions in force as CSV: negative, decision, reason, who, time.",
        )
        with st.popover("Import decisions", icon=":material/upload:"):
            st.file_uploader("A CSV file as “Export decisions” writes it", type="csv", key="import_file")
            st.caption("It needs the columns negative and decision (kept or dropped); reason and who are optional.")
            there = st.session_state["import_file"] is not None
            st.button("Apply the file", key="import_do", disabled=not there, on_click=_import, args=(run,))
    if st.session_state.pop(ASKED, False):
        _ask(run, queue)


@st.dialog("Decide on the whole queue")
def _ask(run: Run, queue: Queue) -> None:
    if st.session_state.pop(DONE, False):
        st.rerun()
    inside = queue.table[queue.inside]
    dropped = int((inside["decision"] == DROPPED).sum())
    st.markdown(f"**{len(inside):,}** labels: {dropped:,} dropped now, {len(inside) - dropped:,} kept.")
    action = st.radio(
        "What to do",
        list(ACTIONS),
        format_func=ACTIONS.__getitem__,
        key="bulk_action",
        captions=[MEANINGS[action] for action in ACTIONS],
        index=None,
    )
    st.text_input("Reason (optional)", key="bulk_reason", max_chars=500)
    if action is None:
        return
    changed = {KEPT: dropped, DROPPED: len(inside) - dropped, AGREE: int((~inside["reviewed"]).sum())}[action]
    st.button(
        f"{ACTIONS[action]}: {changed:,} labels",
        type="primary",
        key="bulk_do",
        disabled=not changed,
        on_click=_decide_on_all,
        args=(run, inside["label"].tolist(), action, queue.seen(inside)),
    )


@told
def _decide_on_all(run: Run, labels: list[str], action: str, seen: Seen) -> None:
    """Nothing where another action was chosen since the button was drawn: the dialog then names that one.

    Nothing either where somebody decided on one of the labels since: the counts that were agreed to are others now.
    """
    if st.session_state.get("bulk_action") != action:
        return
    reason = str(st.session_state.get("bulk_reason", "")).strip()
    st.session_state[DONE] = True
    who, own = reviewer(), own_lines()
    if action == AGREE:
        added = overrides.confirm(run, labels, who, reason, seen)
    else:
        added = overrides.override(run, labels, action, who, reason, seen)
    own.update(numbers(run, added))
    written_at_once(run, added)


@told
def _import(run: Run) -> None:
    file = st.session_state["import_file"]
    if file is None:
        return
    own = own_lines()
    added, unknown = overrides.import_csv(run, file, reviewer(), file.name)
    own.update(numbers(run, added))
    written_at_once(run, added)
    if unknown:
        raise NegRefineError(
            f"{len(unknown):,} labels of {file.name} are no negatives of this run; the first: {unknown[0][:80]!r}"
        )


def written_at_once(run: Run, added: list[Override], undo: str = "U takes back all") -> None:
    """Say how many decisions were written and how to undo them, and have one undo take them all back."""
    count = len(added)
    if count:
        st.session_state[BULK] = (run.name, next_number(added), count)
        st.toast(f"{count:,} {'decision' if count == 1 else 'decisions'} written. Until you leave, {undo}.")
    else:
        st.toast("Nothing is new: these decisions are in force already.")
