"""Small views to click in, for Jupyter (`pip install "negrefine[notebooks]"`): a map, a label's card, a label's effect.

JupyterLab and VS Code draw them offline. Each has a still picture beside it, which is what a stored notebook keeps.

    from negrefine_core.show import widgets
    widgets.image_map(images, features)    # draw a line around points to see their pictures
"""

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from .. import maps, operating_point
from ..errors import NegRefineError
from ..overrides import review_table
from ..runs import Run
from . import charts
from .tables import Html, effect, gallery, table

if TYPE_CHECKING:
    import ipywidgets
    from torch import Tensor

    from ..effects import Effects

VIEW = "application/vnd.jupyter.widget-view+json"  # what a live widget is in a notebook's output
SHOWN = 12  # pictures under a map
QUESTION = ["kind", "id_label", "prompt", "reply", "similarity", "judge"]


@dataclass(frozen=True)
class View:
    """A `widget`, and the `still` picture that stands where no kernel runs."""

    widget: "ipywidgets.DOMWidget"
    still: Any

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return _bundle(self.still) | {VIEW: self.widget._repr_mimebundle_()[VIEW]}


def image_map(images: pd.DataFrame, features: "Tensor", colour_by: str = "outcome", score: str = "negrefine") -> View:
    """A scored table's images by PCA of their features, alike ones beside each other; a line or box around some shows
    their pictures.

    Args:
        images: from `scored`.
        features: (B, D) of the same images, from `pipeline.image_features`.
        colour_by: a column; `outcome` is by `score` at the threshold that keeps 95% of the ID images.
    """
    widgets, figures = _installed()
    at = operating_point.threshold(images, score)
    x, y = maps.pca(features.numpy()).T
    outcome = operating_point.outcomes(images, score, at)
    places = images.assign(x=x, y=y, name=images["path"], outcome=outcome).reset_index(drop=True)
    still = charts.image_map(places, colour_by).update_layout(dragmode="lasso")
    chart, below = figures.FigureWidget(still), widgets.HTML("Draw a line around some points to see their pictures.")

    inside: dict[int, list[int]] = {}  # rows by trace: each tells its own

    def look(trace: Any, points: Any, _: Any) -> None:
        inside[points.trace_index] = [int(trace.customdata[i]) for i in points.point_inds]
        rows = sorted(row for chosen in inside.values() for row in chosen)
        below.value = gallery(places.iloc[rows], "image_set", score, title=f"{len(rows):,} images").html

    for trace in chart.data:
        trace.on_selection(look)
    return View(widgets.VBox([chart, below]), still)


def label_card(run: Run, label: str = "") -> View:
    """What was decided on a negative label, and each question that was asked about it; any can be typed."""
    decided = review_table(run).set_index("label")

    def card(name: str) -> Html:
        row, chain = decided.loc[name], [verdict for verdict in run.verdicts if verdict.negative == name]
        why = f"{row['kind']} of {row['id_label']}" if row["id_label"] else row["kind"]
        title = f"{name}: {row['decision']}" + (f", as {why} by the judge" if why else "")
        return table(pd.DataFrame(chain)[QUESTION], title) if chain else Html(f"<b>{html.escape(title)}</b>", title)

    return _by_label(list(decided.index), card, label)


def label_effect(run: Run, effects: "Effects", images: pd.DataFrame, label: str = "") -> View:
    """What a negative's coming (one that was rejected) or going (one that is kept) would do; any can be typed.

    `effects` is from `pipeline.effects` on these `images`.
    """
    kept, negatives = {negative.label for negative in run.negatives}, {each.label: each for each in run.reviewable}

    def told(name: str) -> Html:
        found = effects.drop(name) if name in kept else effects.restore(negatives[name])
        title = f"If “{name}” were {'dropped' if name in kept else 'restored'}"
        drawn = images.assign(change=(found.after - found.before).numpy())[found.attracted.numpy()]
        pictures = gallery(
            drawn.sort_values("change"), "image_set", "change", title="What it attracts, the most changed first"
        )
        return Html(effect(found, images, title).html + pictures.html, title)

    return _by_label(list(negatives), told, label)


def _by_label(labels: Sequence[str], show: Callable[[str], Html], label: str) -> View:
    """A line to type one of the labels into, over what is shown of it."""
    if not labels:
        raise NegRefineError("the run has no negative labels yet; do the step 'mine' first")
    if label and label not in labels:
        raise NegRefineError(f"the run has no negative label {label!r}")
    widgets, _ = _installed()
    first = show(label or labels[0])
    line = widgets.Combobox(value=label or labels[0], options=labels, ensure_option=True, description="Label")
    below = widgets.HTML(first.html)

    def look(change: dict[str, Any]) -> None:
        if change["new"] in labels:
            below.value = show(change["new"]).html

    line.observe(look, "value")
    return View(widgets.VBox([line, below]), first)


def _bundle(still: Any) -> dict[str, Any]:
    if isinstance(still, Html):
        return {"text/html": still.html, "text/plain": still.text}
    found: dict[str, Any] = still._repr_mimebundle_()
    return found


def _installed() -> tuple[Any, Any]:
    """(ipywidgets, plotly's widgets). Raises NegRefineError where they are not installed."""
    try:
        import anywidget  # noqa: F401 - plotly's widget is one
        import ipywidgets
    except ImportError as error:
        raise NegRefineError('views to click in need more packages: pip install "ipywidgets" "anywidget"') from error
    import plotly.graph_objects

    return ipywidgets, plotly.graph_objects
