"""Buttons with what the threshold makes of the images; each filters the gallery, and a second click shows all again."""

from streamlit.delta_generator import DeltaGenerator

from negrefine_core.operating_point import Outcome

from ..shared.operating_point import OUTCOME_WORDS
from ..shared.view import change
from ..shared.words import percent
from .view import ExploreView


def outcome_tile(
    column: DeltaGenerator, view: ExploreView, outcome: Outcome, title: str, count: int, total: int, things: str
) -> None:
    """How many of all have this outcome; `things` names them: images, pictures."""
    chosen = view.outcome == outcome.code
    column.button(
        f"{title}  \n**{count:,}** of {total:,} · {percent(count / max(total, 1))}",
        key=f"tile_{outcome.code}",
        type="primary" if chosen else "secondary",
        width="stretch",
        help=f"{OUTCOME_WORDS[outcome.code].meaning} Click to see {f'all {things} again' if chosen else 'only these'}.",
        on_click=change,
        args=(view,),
        kwargs={"outcome": "" if chosen else outcome.code, "page": 1, "show": "pictures"},
    )
