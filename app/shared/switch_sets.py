"""The switch between the image sets that are compared and those that are looked at by themselves."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from .view import View, bound
from .words import plain

COMPARED = ""  # stands for the sets that are compared, where a set's name does


def switch_sets(view: View, is_comparable: bool, by_themselves: Sequence[str], shown: str, **also: Any) -> None:
    """Nothing where there is no choice. `shown` is the set that stands by itself, `also` what a change takes along."""
    options = [*([COMPARED] if is_comparable else []), *by_themselves]
    if len(options) < 2:
        return
    st.segmented_control(
        "Pictures",
        options,
        format_func=lambda name: plain(name.replace("_", " ")) if name else "ID against OOD",
        required=True,
        wrap=True,
        help="Your classes (ID) against something else (OOD), or a set of which nobody knows what it shows.",
        **bound(view, "alone", shown, **also),
    )
