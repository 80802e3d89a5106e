"""A person's overrides taken along from the run whose class list was edited."""

import io

import streamlit as st

from negrefine_core import overrides
from negrefine_core.runs import Run

from ..shared.errors import told
from ..shared.reviewer import reviewer
from ..shared.words import plain


def carry_over_button(old: Run, new: Run) -> None:
    """Offer the overrides of the old run that would change a decision of the new one."""
    labels = waiting(old, new)
    if labels:
        st.button(
            f"Carry over {len(labels):,} {'override' if len(labels) == 1 else 'overrides'} of {plain(old.name)}",
            icon=":material/move_down:",
            key="carry_over",
            on_click=_carry,
            args=(old, new),
            help="A person’s decisions there that differ from the judge’s here: "
            + ", ".join(plain(label) for label in labels[:8])
            + (" …" if len(labels) > 8 else ""),
        )


def waiting(old: Run, new: Run) -> list[str]:
    """The negatives of the new run that a person decided on in the old one, other than they are decided now."""
    decided = overrides.in_force(old.overrides)
    if not decided:
        return []
    kept, there = {n.label for n in new.negatives}, {n.label for n in new.reviewable}
    here = overrides.in_force(new.overrides)
    return [
        label
        for label, entry in decided.items()
        if label in there and label not in here and (entry.new == overrides.KEPT) != (label in kept)
    ]


@told
def _carry(old: Run, new: Run) -> None:
    text, _ = overrides.export_text(old)
    overrides.import_csv(new, io.BytesIO(text.encode()), reviewer(), old.name)
