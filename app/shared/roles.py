"""What an image set shows (its role), asked in the same words wherever pictures are scored; nothing is preset."""

from collections.abc import Mapping

import streamlit as st

from negrefine_core.runs import Role

from .words import some

ROLES: dict[Role, str] = {
    "ID": "My ID classes",
    "OOD": "Something else (OOD)",
    "unknown": "I don’t know: sort them for me",
}
HELP = (
    "Figures such as AUROC compare pictures of your classes (ID) with pictures of something else (OOD). Those of which "
    "you do not know are ranked and sorted, and no figure takes them in."
)


def ask_role(question: str, key: str, said: Role | None = None) -> Role | None:
    """What the person answers; `said` is their answer of before, None where there is none yet."""
    role: Role | None = st.radio(
        question,
        list(ROLES),
        index=list(ROLES).index(said) if said else None,
        key=key,
        format_func=ROLES.__getitem__,
        horizontal=True,
        help=HELP,
    )
    return role


def missing_words(roles: Mapping[str, Role | None]) -> str:
    """What is still to be said; empty where nothing is."""
    unsaid = [name for name, role in roles.items() if role is None]
    return f"Say what {some(unsaid, 4)} {'shows' if len(unsaid) == 1 else 'show'} to start." if unsaid else ""
