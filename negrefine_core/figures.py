"""The charts that the app and the notebooks share: score histogram, ROC, precision-recall, label similarities.

`table` has one row an image: a boolean column `is_id` and a column per score. ID is the positive class and an image at
or above the threshold counts as ID.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

ID_COLOUR, OOD_COLOUR = "#0072B2", "#D55E00"  # Okabe and Ito's blue and vermilion: told apart by all colour vision
NEUTRAL = "#8A8F98"  # legible on white and on black
BINS = 40
DRAWN_POINTS = 1000  # a curve of more points looks the same and loads slower
HEIGHT = 340


def histogram(
    table: pd.DataFrame,
    score: str,
    threshold: float | None = None,
    chosen: tuple[float, float] | None = None,
    title: str = "",
) -> go.Figure:
    """ID and OOD scores on shared bins, each as the share of its own images; box selection picks a score range."""
    values = table[score].to_numpy(dtype=float)
    edges = np.histogram_bin_edges(values, BINS)  # (BINS + 1,)
    figure = go.Figure()
    for name, colour, inside in (("ID", ID_COLOUR, True), ("OOD", OOD_COLOUR, False)):
        counts, _ = np.histogram(values[table["is_id"].to_numpy() == inside], edges)  # (BINS,)
        figure.add_bar(
            x=(edges[:-1] + edges[1:]) / 2,
            y=100 * counts / max(counts.sum(), 1),
            width=np.diff(edges),
            customdata=np.column_stack([counts, edges[:-1], edges[1:]]),
            name=f"{name} ({counts.sum():,} images)",
            marker={"color": colour, "opacity": 0.75, "line": {"width": 0}},
            hovertemplate=f"{name}: %{{customdata[0]}} images (%{{y:.1f}}%)"
            "<br>%{customdata[1]:.4g} to %{customdata[2]:.4g}<extra></extra>",
        )
    if chosen is not None:
        figure.add_vrect(*chosen, fillcolor=NEUTRAL, opacity=0.22, line_width=0, layer="below")
    if threshold is not None:
        figure.add_vline(threshold, line={"color": NEUTRAL, "width": 2, "dash": "dash"})
        left = threshold < (edges[0] + edges[-1]) / 2
        figure.add_annotation(
            x=threshold, y=1, yref="paper", yanchor="bottom", showarrow=False, xanchor="left" if left else "right",
            text=f"threshold {threshold:.{decimals(values)}f}", font={"color": NEUTRAL},
        )  # fmt: skip
    figure.update_layout(
        barmode="overlay",
        bargap=0,
        dragmode="select",
        selectdirection="h",
        xaxis={"title": title or score, "fixedrange": True},
        yaxis={"title": "% of its images", "fixedrange": True, "rangemode": "tozero"},
    )
    return _framed(figure)


def decimals(values: Sequence[float] | np.ndarray | pd.Series) -> int:
    """Decimals that tell a thousandth of the values' span: scores span from 3 (NegRefine) to 0.00001 (MCM, T = 1)."""
    span = float(np.ptp(np.asarray(values, dtype=float))) if len(values) else 0.0
    return min(max(3 - int(np.floor(np.log10(span))), 0), 10) if span > 0 else 4


def curve_points(table: pd.DataFrame, score: str) -> pd.DataFrame:
    """Each score that occurs, as a threshold from the highest down: columns `threshold`, `tpr`, `fpr`, `precision`."""
    values, inside = table[score].to_numpy(dtype=float), table["is_id"].to_numpy(dtype=bool)
    order = np.argsort(-values, kind="stable")
    values, inside = values[order], inside[order]
    last = np.append(np.flatnonzero(np.diff(values)), len(values) - 1)  # images with the same score enter together
    accepted_id = np.cumsum(inside)[last]
    accepted_ood = last + 1 - accepted_id
    return pd.DataFrame(
        {
            "threshold": values[last],
            "tpr": accepted_id / max(inside.sum(), 1),
            "fpr": accepted_ood / max((~inside).sum(), 1),
            "precision": accepted_id / (last + 1),
        }
    )


def roc(table: pd.DataFrame, score: str, threshold: float | None = None) -> go.Figure:
    """The ROC curve, its area (AUROC), and the operating point of the threshold."""
    points = curve_points(table, score)
    fpr, tpr = np.append(0.0, points["fpr"]), np.append(0.0, points["tpr"])
    figure = _curve(fpr, tpr, np.append(np.inf, points["threshold"]), "FPR (OOD let in)", "TPR (ID kept)")
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": NEUTRAL, "width": 1, "dash": "dot"}, hoverinfo="skip"
    )
    _mark_operating_point(figure, points, threshold, "fpr", "tpr")
    figure.update_layout(title={"text": f"AUROC {100 * np.trapezoid(tpr, fpr):.1f}%"})
    return figure


def precision_recall(table: pd.DataFrame, score: str, threshold: float | None = None) -> go.Figure:
    """The precision-recall curve of the ID class, its average precision (AUPR-in), and the operating point."""
    points = curve_points(table, score)
    figure = _curve(points["tpr"], points["precision"], points["threshold"], "Recall (ID kept)", "Precision (ID share)")
    _mark_operating_point(figure, points, threshold, "tpr", "precision")
    average = float((np.diff(points["tpr"], prepend=0.0) * points["precision"]).sum())
    figure.update_layout(title={"text": f"AUPR-in {100 * average:.1f}%"})
    return figure


def label_similarities(image: pd.Series) -> go.Figure:
    """One image's top ID labels, top negatives and best pair on one axis of similarity (100 x cosine)."""
    pair = f"{image['pair_id']} and {image['pair_negative']}"
    groups: Sequence[tuple[str, str, Sequence[str], Sequence[float]]] = (
        ("ID labels", ID_COLOUR, image["id_labels"], image["id_sims"]),
        ("negatives", OOD_COLOUR, image["negative_labels"], image["negative_sims"]),
        ("best pair", NEUTRAL, [pair], [image["pair_sim"]]),
    )
    figure = go.Figure()
    bars = []
    for name, colour, labels, similarities in groups:
        rows = [f"{name}: {label}" for label in labels]  # a word may be in two groups
        bars += list(zip(similarities, rows, labels, strict=True))
        figure.add_bar(
            x=[float(s) for s in similarities], y=rows, orientation="h", name=name, marker_color=colour,
            text=[f"{s:.1f}" for s in similarities], textposition="auto", textangle=0,
            hovertemplate="%{y}: %{x:.2f}<extra></extra>",
        )  # fmt: skip
    bars.sort(key=lambda bar: bar[0])
    figure.update_layout(
        xaxis={"title": "similarity (100 × cosine)", "fixedrange": True, "rangemode": "tozero"},
        yaxis={
            "categoryorder": "array", "categoryarray": [row for _, row, _ in bars], "fixedrange": True,
            "tickvals": [row for _, row, _ in bars], "ticktext": [_short(label) for *_, label in bars],
        },
    )  # fmt: skip
    return _framed(figure, height=110 + 28 * len(bars))


def _curve(x: Any, y: Any, thresholds: Any, x_title: str, y_title: str) -> go.Figure:
    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), DRAWN_POINTS)).round().astype(int))
    figure = go.Figure()
    figure.add_scatter(
        x=np.asarray(x)[kept], y=np.asarray(y)[kept], customdata=np.asarray(thresholds)[kept], mode="lines",
        line={"color": ID_COLOUR, "width": 2.5},
        hovertemplate=f"{x_title} %{{x:.1%}}<br>{y_title} %{{y:.1%}}<br>threshold %{{customdata:.4g}}<extra></extra>",
    )  # fmt: skip
    axis = {"range": [-0.02, 1.02], "tickformat": ".0%", "dtick": 0.25, "fixedrange": True}
    figure.update_layout(showlegend=False, xaxis=axis | {"title": x_title}, yaxis=axis | {"title": y_title})
    return _framed(figure)


def _mark_operating_point(figure: go.Figure, points: pd.DataFrame, threshold: float | None, x: str, y: str) -> None:
    """A dot where the threshold lies on the curve; none when it lies above every score."""
    accepted = points[points["threshold"] >= threshold] if threshold is not None else points.iloc[:0]
    if len(accepted):
        here = accepted.iloc[-1]
        figure.add_scatter(
            x=[here[x]], y=[here[y]], mode="markers", hoverinfo="skip",
            marker={"color": OOD_COLOUR, "size": 12, "line": {"color": "white", "width": 2}},
        )  # fmt: skip


def _short(label: str, length: int = 34) -> str:
    text = label if len(label) <= length else label[: length - 1] + "…"
    return text.replace("<", "&lt;")  # plotly reads tags in a text


def _framed(figure: go.Figure, height: int = HEIGHT) -> go.Figure:
    """The margins, legend and hover that all charts share."""
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 64, "b": 8},
        legend={"orientation": "h", "x": 0, "y": 1.1, "yanchor": "bottom", "itemclick": False},
        hoverlabel={"align": "left"},
    )
    figure.update_xaxes(automargin=True)
    figure.update_yaxes(automargin=True)
    return figure
