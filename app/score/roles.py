"""What the scored sets show, said again: the figures follow at once."""

import streamlit as st

from negrefine_core import jobs
from negrefine_core.runs import Role, Run

from ..shared.errors import told
from ..shared.roles import ROLES
from ..shared.words import plain

SET, ROLE = "role_set", "role_of_set"


def change_roles(run: Run) -> None:
    """One set at a time: which, and what it shows."""
    unknown = run.unknown_sets
    with st.expander("Say what a set shows", expanded=bool(unknown) and not run.id_sets, icon=":material/label:"):
        name = st.selectbox(
            "Image set", [*unknown, *(n for n in run.scored_sets if n not in unknown)], key=f"{SET}_{run.name}"
        )
        if name is None:
            return
        key = f"{ROLE}_{run.name}_{name}"
        st.session_state[key] = run.role(name)
        st.radio(
            f"What “{plain(name)}” shows",
            list(ROLES),
            key=key,
            format_func=ROLES.__getitem__,
            horizontal=True,
            on_change=_set_role,
            args=(run, name),
        )
        st.caption("The figures are computed anew with every change; the scores stay.")


@told
def _set_role(run: Run, name: str) -> None:
    role: Role = st.session_state[f"{ROLE}_{run.name}_{name}"]
    run.set_role(name, role)
    if run.id_sets and run.ood_sets:
        jobs.start(jobs.Spec(title=f"Compute the metrics with “{name}”", run=run.name, steps=(jobs.Evaluate(),)))
