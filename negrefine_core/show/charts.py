"""The charts that the app and the notebooks share: scores, curves, label similarities, mining, changes.

`table` has one row an image: a boolean column `is_id` and a column per score. ID is the positive class and an image at
or above the threshold counts as ID.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import plotly.io as pio
from plotly.subplots import make_subplots

from ..comparison import Difference
from ..operating_point import curve_points

ID_COLOUR, OOD_COLOUR = "#0072B2", "#D55E00"  # Okabe and Ito's blue and vermilion: told apart by all colour vision
NEUTRAL = "#8A8F98"  # legible on white and on black
SIDE_COLOURS = (NEUTRAL, "#009E73")  # of two methods compared: apart from the ID/OOD pair, and told apart by lightness
BINS = 40
MAGNIFIED = (100, 50, 20, 10, 5, 2)  # how many times as tall bars may be drawn that are too low on the other's scale
DRAWN_POINTS = 1000  # a curve of more points looks the same and loads slower
HEIGHT = 340
GROUP_COLOURS = (ID_COLOUR, OOD_COLOUR, "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
CIRCLE, DIAMOND = "circle", "diamond"  # by name: plotly draws a circle by its number as slowly as other symbols
LABEL_COLOURS = {  # by what a label is: those last that are drawn on top
    "kept": NEUTRAL, "subcategory": OOD_COLOUR, "proper noun": "#CC79A7", "same": "#E69F00",
    "dropped by hand": "#56B4E9",
    "as before": NEUTRAL, "went": "#E69F00", "came": OOD_COLOUR,
    "class left out": "#56B4E9", "ID class": ID_COLOUR, "new ID class": "#009E73",
}  # fmt: skip
CLASSES = ("class left out", "ID class", "new ID class")
PLATE = {"bgcolor": "rgba(255, 255, 255, 0.75)", "font": {"color": "#222", "size": 11}, "borderpad": 1}  # under a name
WRITTEN = 30  # classes of a kind whose names are written on a map; more would cover it
OTHERS = "others"  # the group of what would need a further colour
SVG_POINTS = 5_000  # of a map: more are drawn by WebGL, which is slower to begin
CROWDED = 20_000  # points of a map: with more each is drawn at less cost
DOTTED = {"color": NEUTRAL, "width": 1, "dash": "dot"}
DASHED = {"color": NEUTRAL, "width": 2, "dash": "dash"}

pio.templates["negrefine"] = go.layout.Template(
    layout={
        "colorway": [ID_COLOUR, OOD_COLOUR, SIDE_COLOURS[1], NEUTRAL],
        "xaxis": {"fixedrange": True, "automargin": True},
        "yaxis": {"fixedrange": True, "automargin": True},
        "hoverlabel": {"align": "left"},
    }
)


def histogram(
    table: pd.DataFrame,
    score: str,
    threshold: float | None = None,
    chosen: tuple[float, float] | None = None,
    title: str = "",
) -> go.Figure:
    """ID scores above OOD scores on shared bins, each as the share of its own images. Box selection picks a range."""
    values = table[score].to_numpy(dtype=float)
    edges = np.histogram_bin_edges(values, BINS)  # (BINS + 1,)
    figure = _two_rows()
    tallest = []
    for row, (name, colour, inside) in enumerate((("ID", ID_COLOUR, True), ("OOD", OOD_COLOUR, False)), 1):
        counts = _counted(values[table["is_id"].to_numpy() == inside], edges)  # (BINS,)
        shares = 100 * counts / max(counts.sum(), 1)
        tallest.append(shares.max())
        figure.add_bar(
            x=(edges[:-1] + edges[1:]) / 2,
            y=shares,
            width=np.diff(edges),
            customdata=np.column_stack([counts, edges[:-1], edges[1:]]),
            name=f"{name} ({counts.sum():,} images)",
            marker={"color": colour, "line": {"width": 0}},
            hovertemplate=f"{name}: %{{customdata[0]}} images (%{{y:.1f}}%)"
            "<br>%{customdata[1]:.4g} to %{customdata[2]:.4g}<extra></extra>",
            row=row,
            col=1,
        )
    _scale_rows(figure, tallest)
    _mark_scores(figure, values, threshold, chosen)
    figure.update_xaxes(title=title or score, row=2)
    return _framed(figure)


def histogram_alone(
    values: Sequence[float] | np.ndarray | pd.Series,
    threshold: float,
    chosen: tuple[float, float] | None = None,
    title: str = "",
) -> go.Figure:
    """The scores of images of which nobody knows what they show, coloured by what the threshold takes them for."""
    values = np.asarray(values, dtype=float)
    edges = np.histogram_bin_edges(values, BINS)  # (BINS + 1,)
    figure = go.Figure()
    kinds = (("none of your classes", OOD_COLOUR, values < threshold), ("your classes", ID_COLOUR, values >= threshold))
    for name, colour, which in kinds:
        counts = _counted(values[which], edges)  # (BINS,)
        figure.add_bar(
            x=(edges[:-1] + edges[1:]) / 2,
            y=counts,
            width=np.diff(edges),
            customdata=np.column_stack([edges[:-1], edges[1:]]),
            name=f"{name} ({counts.sum():,} images)",
            marker={"color": colour, "line": {"width": 0}},
            hovertemplate="%{y} images<br>%{customdata[0]:.4g} to %{customdata[1]:.4g}<extra></extra>",
        )
    _mark_scores(figure, values, threshold, chosen)
    figure.update_layout(barmode="stack", bargap=0, xaxis={"title": title}, yaxis={"title": "images", "nticks": 5})
    return _framed(figure)


def _counted(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """(BINS,) how many values lie in each bin of one width: told so, numpy takes a tenth of the time."""
    return np.histogram(values, len(edges) - 1, (edges[0], edges[-1]))[0]


def _mark_scores(
    figure: go.Figure, values: np.ndarray, threshold: float | None, chosen: tuple[float, float] | None
) -> None:
    """A threshold and a chosen range of scores on a histogram, on which another range can be drawn."""
    if chosen is not None:
        figure.add_vrect(*chosen, fillcolor=NEUTRAL, opacity=0.22, line_width=0, layer="below")
    if threshold is not None:
        is_left = threshold < (values.min() + values.max()) / 2
        figure.add_vline(threshold, line=DASHED)
        figure.add_annotation(
            text=f"threshold {threshold:.{decimals(values)}f}",
            x=threshold,
            y=1,
            yref="paper",
            xanchor="left" if is_left else "right",
            yanchor="bottom",
            showarrow=False,
        )
    figure.update_layout(dragmode="select", selectdirection="h")


def decimals(values: Sequence[float] | np.ndarray | pd.Series) -> int:
    """Decimals that tell a thousandth of the values' span: scores span from 3 (NegRefine) to 0.00001 (MCM, T = 1)."""
    span = float(np.ptp(np.asarray(values, dtype=float))) if len(values) else 0.0
    return min(max(3 - int(np.floor(np.log10(span))), 0), 10) if span > 0 else 4


def roc(table: pd.DataFrame, score: str, threshold: float | None = None) -> go.Figure:
    """The ROC curve, its area (AUROC), and the operating point of the threshold."""
    points = curve_points(table, score)
    fpr, tpr = np.append(0.0, points["fpr"]), np.append(0.0, points["tpr"])
    figure = _curve(fpr, tpr, np.append(np.inf, points["threshold"]), "FPR (OOD let in)", "TPR (ID kept)")
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line=DOTTED, hoverinfo="skip")
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


def histograms_compared(
    table: pd.DataFrame, sides: Sequence[str], names: Sequence[str], thresholds: Sequence[float]
) -> go.Figure:
    """ID scores above OOD scores of two sides on one axis, as in `histogram`: the first outlined, the second filled.

    Scores of different scales are made comparable: each as its distance from its own threshold, in standard deviations
    of its ID images.
    """
    inside = table["is_id"].to_numpy()
    scaled = []
    for side, at in zip(sides, thresholds, strict=True):
        values = table[side].to_numpy(dtype=float)
        scaled.append((values - at) / (values[inside].std() or 1.0))  # (B,)
    edges = np.histogram_bin_edges(np.concatenate(scaled), BINS)  # (BINS + 1,)
    centres = (edges[:-1] + edges[1:]) / 2
    figure = _two_rows()
    tallest = [0.0, 0.0]
    for values, name, filled in reversed(list(zip(scaled, names, (False, True), strict=True))):
        for row, (kind, colour, which) in enumerate((("ID", ID_COLOUR, inside), ("OOD", OOD_COLOUR, ~inside)), 1):
            counts, _ = np.histogram(values[which], edges)  # (BINS,)
            shares = 100 * counts / max(counts.sum(), 1)
            tallest[row - 1] = max(tallest[row - 1], shares.max())
            label = f"{kind}, {_short(name)}"
            drawn = {
                "x": centres,
                "y": shares,
                "name": label,
                "hovertemplate": f"{label}: %{{y:.1f}}%<extra></extra>",
            }
            if filled:
                filling = {"color": colour, "opacity": 0.55, "line": {"width": 0}}
                bars = go.Bar(drawn, width=np.diff(edges), marker=filling)
                figure.add_trace(bars, row=row, col=1)
            else:
                outline = {"color": colour, "width": 2, "shape": "hvh"}
                figure.add_trace(go.Scatter(drawn, mode="lines", line=outline), row=row, col=1)
    _scale_rows(figure, tallest)
    figure.add_vline(0, line=DASHED)
    figure.update_xaxes(title="distance from its threshold (SD of its ID scores)", row=2)
    return _framed(figure)


def histograms_alone_compared(
    table: pd.DataFrame, sides: Sequence[str], names: Sequence[str], thresholds: Sequence[float]
) -> go.Figure:
    """The scores of two sides on images of which nobody knows what they show: the first outlined, the second filled.

    Each as its distance from its own threshold, in standard deviations.
    """
    scaled = []
    for side, at in zip(sides, thresholds, strict=True):
        values = table[side].to_numpy(dtype=float)
        scaled.append((values - at) / (values.std() or 1.0))  # (B,)
    edges = np.histogram_bin_edges(np.concatenate(scaled), BINS)  # (BINS + 1,)
    centres, figure = (edges[:-1] + edges[1:]) / 2, go.Figure()
    (first, _), (second, _) = (np.histogram(values, edges) for values in scaled)  # (BINS,) each
    figure.add_bar(
        x=centres,
        y=second,
        width=np.diff(edges),
        name=_short(names[1]),
        marker={"color": SIDE_COLOURS[1], "opacity": 0.55, "line": {"width": 0}},
        hovertemplate="%{y} images<extra></extra>",
    )
    outline = {"color": SIDE_COLOURS[0], "width": 2, "shape": "hvh"}
    figure.add_scatter(
        x=centres,
        y=first,
        mode="lines",
        line=outline,
        name=_short(names[0]),
        hovertemplate="%{y} images<extra></extra>",
    )
    figure.add_vline(0, line=DASHED)
    figure.update_layout(
        bargap=0,
        xaxis={"title": "distance from its threshold (SD of its scores)"},
        yaxis={"title": "images", "nticks": 5},
    )
    return _framed(figure)


def _two_rows() -> go.Figure:
    """ID above OOD on one axis of scores."""
    return make_subplots(2, 1, shared_xaxes=True, vertical_spacing=0.05).update_layout(bargap=0)


def _scale_rows(figure: go.Figure, tallest: Sequence[float]) -> None:
    """One scale for the shares of ID and of OOD. Most ID scores lie in one bin, beside which other bars are too low to
    see: they are drawn some times as tall, and their axis says so."""
    for row, (kind, own) in enumerate(zip(("ID", "OOD"), tallest, strict=True), 1):
        times = next((times for times in MAGNIFIED if 0 < times * own <= max(tallest)), 1)
        title = f"% of {kind}" + (f"<br>{times} × as tall" if times > 1 else "")
        figure.update_yaxes(title=title, range=[0, 1.05 * max(tallest) / times], nticks=4, row=row, col=1)


def rocs(
    table: pd.DataFrame, sides: Sequence[str], names: Sequence[str], thresholds: Sequence[float] | None = None
) -> go.Figure:
    """The ROC curves of two scores on the same images, each with its area and its threshold's operating point."""
    figure = go.Figure()
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line=DOTTED, hoverinfo="skip", showlegend=False)
    for i, (side, name, colour, dash) in enumerate(zip(sides, names, SIDE_COLOURS, ("dash", "solid"), strict=True)):
        points = curve_points(table, side)
        fpr, tpr = np.append(0.0, points["fpr"]), np.append(0.0, points["tpr"])
        kept = _drawn(len(fpr))
        figure.add_scatter(
            x=fpr[kept],
            y=tpr[kept],
            mode="lines",
            line={"color": colour, "width": 2.5, "dash": dash},
            name=f"{_short(name)}: AUROC {100 * np.trapezoid(tpr, fpr):.1f}%",
            hovertemplate=f"{_short(name)}<br>FPR %{{x:.1%}}<br>TPR %{{y:.1%}}<extra></extra>",
        )
        _mark_operating_point(figure, points, thresholds[i] if thresholds else None, "fpr", "tpr", colour)
    return _framed(_on_shares(figure, "FPR (OOD let in)", "TPR (ID kept)"))


def attracted(table: pd.DataFrame, top: int = 12) -> go.Figure:
    """The negatives that are most often among an ID image's top ones, with their shares of the ID and OOD images."""
    inside = table["is_id"].to_numpy()
    of_id, of_ood = (
        100 * table["negative_labels"][which].explode().value_counts() / max(which.sum(), 1)
        for which in (inside, ~inside)
    )
    labels = of_id.index[:top][::-1]
    figure = go.Figure()
    for name, colour, share in (("OOD", OOD_COLOUR, of_ood), ("ID", ID_COLOUR, of_id)):
        figure.add_bar(
            x=share.reindex(labels).fillna(0),
            y=[_short(label) for label in labels],
            orientation="h",
            name=f"{name} images",
            marker_color=colour,
            hovertemplate="%{y}: %{x:.1f}%<extra></extra>",
        )
    figure.update_layout(barmode="group", legend={"traceorder": "reversed"})
    figure.update_xaxes(title="% of the images that have it among their top negatives")
    return _framed(figure, height=130 + 32 * len(labels))


def counts(steps: dict[str, int]) -> go.Figure:
    """How many labels each step leaves or takes, one bar a step from the top down."""
    names = list(steps)[::-1]
    figure = go.Figure()
    figure.add_bar(
        x=[steps[name] for name in names],
        y=names,
        orientation="h",
        marker_color=NEUTRAL,
        text=[f"{steps[name]:,}" for name in names],
        textposition="auto",
        hoverinfo="skip",
    )
    figure.update_xaxes(title="labels")
    return _framed(figure, height=110 + 42 * len(names))


def method_intervals(methods: dict[str, Any], ood_set: str = "average", metric: str = "auroc") -> go.Figure:
    """A run's metric (`auroc` or `fpr95`) of each method on one OOD set, in percent with its 95% interval.

    `methods` is what a run's metrics say of them.
    """
    names = [name for name in methods if ood_set in methods[name]][::-1]
    values = [100 * methods[name][ood_set][metric] for name in names]
    bounds = [[100 * bound for bound in methods[name][ood_set][f"{metric}_interval"]] for name in names]
    figure = go.Figure()
    figure.add_scatter(
        x=values,
        y=names,
        mode="markers",
        marker={"size": 11, "color": SIDE_COLOURS[1]},
        error_x=_interval_bars(values, bounds) | {"thickness": 2},
        customdata=bounds,
        hovertemplate="%{y}: %{x:.1f}% (%{customdata[0]:.1f} to %{customdata[1]:.1f})<extra></extra>",
    )
    title = {"auroc": "AUROC (%), higher is better", "fpr95": "FPR@95 (%), lower is better"}[metric]
    figure.update_xaxes(title=title)
    return _framed(figure, height=110 + 36 * len(names))


def mined(similarities: Sequence[float] | np.ndarray, fraction: float) -> go.Figure:
    """How similar the candidate words are to the ID labels (highest cosine), and which of them mining keeps."""
    values = np.sort(np.asarray(similarities, dtype=float))  # (C,)
    count = int(fraction * len(values))
    edges = np.histogram_bin_edges(values, BINS) if len(values) else np.linspace(0, 1, BINS + 1)
    figure = go.Figure()
    for name, colour, part in (("mined", OOD_COLOUR, values[:count]), ("left out", NEUTRAL, values[count:])):
        counts, _ = np.histogram(part, edges)  # (BINS,)
        figure.add_bar(
            x=(edges[:-1] + edges[1:]) / 2,
            y=counts,
            width=np.diff(edges),
            name=f"{name} ({len(part):,} words)",
            marker={"color": colour, "line": {"width": 0}},
            hovertemplate=f"{name}: %{{y:,}} words<extra></extra>",
        )
    figure.update_layout(
        barmode="stack",
        bargap=0,
        xaxis={"title": "highest cosine with an ID label"},
        yaxis={"title": "words"},
    )
    return _framed(figure)


def changes(found: Sequence[tuple[str, Difference]], metric: str = "auroc") -> go.Figure:
    """Differences of one metric, named, in points of percent, with their 95% intervals; zero is no change."""
    shown = [(_short(name, 48), difference) for name, difference in found if difference.metric == metric]
    shown.reverse()  # the first on top
    points = [100 * (d.second - d.first) for _, d in shown]
    bounds = [[100 * d.low, 100 * d.high] for _, d in shown]
    figure = go.Figure()
    figure.add_vline(0, line=DASHED | {"width": 1.5})
    figure.add_scatter(
        x=points,
        y=[name for name, _ in shown],
        mode="markers",
        marker={"size": 11, "color": [SIDE_COLOURS[1] if d.is_clear else NEUTRAL for _, d in shown]},
        error_x=_interval_bars(points, bounds),
        customdata=bounds,
        hovertemplate="%{y}: %{x:+.1f} points<br>95% interval %{customdata[0]:+.1f} to %{customdata[1]:+.1f}"
        "<extra></extra>",
    )
    title = {"auroc": "AUROC", "fpr95": "FPR@95"}[metric]
    figure.update_layout(
        xaxis={"title": f"change in {title}, points of percent (95% interval)"},
        yaxis={"range": [-0.6, len(shown) - 0.4]},
        showlegend=False,
    )
    return _framed(figure, height=80 + 40 * len(shown)).update_layout(margin_t=8)


def _interval_bars(values: Sequence[float], bounds: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Error bars from each value to its (low, high) bounds."""
    return {
        "type": "data",
        "symmetric": False,
        "color": NEUTRAL,
        "array": [max(high - value, 0) for value, (_, high) in zip(values, bounds, strict=True)],
        "arrayminus": [max(value - low, 0) for value, (low, _) in zip(values, bounds, strict=True)],
    }


def sweeps(table: pd.DataFrame) -> go.Figure:
    """AUROC and FPR@95 averaged over the OOD sets, for each value of each setting that an ablation changed.

    Args:
        table: from `ablation.results`, in percent; its first convention is drawn.
    """
    averages = table[(table["ood_set"] == "average") & (table["convention"] == table["convention"].iloc[0])]
    names = list(averages["sweep"].unique())
    figure = make_subplots(
        rows=2,
        cols=len(names),
        shared_xaxes="columns",
        shared_yaxes="rows",
        column_titles=names,
        horizontal_spacing=0.02,
        vertical_spacing=0.06,
    )
    for row, metric, title in ((1, "auroc", "AUROC"), (2, "fpr95", "FPR@95")):
        for column, name in enumerate(names, 1):
            points = averages[averages["sweep"] == name]
            figure.add_scatter(
                x=[value if isinstance(value, str) else f"{value:g}" for value in points["value"]],
                y=points[metric],
                mode="markers" if name == "parts" else "lines+markers",
                line={"color": ID_COLOUR},
                hovertemplate=f"{name} %{{x}}: {title} %{{y:.2f}}%<extra></extra>",
                row=row,
                col=column,
            )
            figure.update_xaxes(type="category", row=row, col=column)
        figure.update_yaxes(title=f"{title}, %", row=row, col=1)
    return _framed(figure.update_layout(showlegend=False), height=520)


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
        rows = [f"{name}: {_as_text(label)}" for label in labels]  # a word may be in two groups
        bars += list(zip(similarities, rows, labels, strict=True))
        figure.add_bar(
            x=[float(similarity) for similarity in similarities],
            y=rows,
            orientation="h",
            name=name,
            marker_color=colour,
            text=[f"{similarity:.1f}" for similarity in similarities],
            textposition="auto",
            textangle=0,
            hovertemplate="%{y}: %{x:.2f}<extra></extra>",
        )
    bars.sort(key=lambda bar: bar[0])
    ordered = [row for _, row, _ in bars]
    figure.update_xaxes(title="similarity (100 × cosine)", rangemode="tozero")
    figure.update_yaxes(
        categoryorder="array",
        categoryarray=ordered,
        tickvals=ordered,
        ticktext=[_short(label) for *_, label in bars],
    )
    return _framed(figure, height=110 + 28 * len(bars))


def image_map(table: pd.DataFrame, colour_by: str, title: str = "", is_shown: np.ndarray | None = None) -> go.Figure:
    """A point an image, at `x` and `y`, in the colour of its group or, where the column holds numbers, of its value.

    `table` has a row an image; `name` is told where it is pointed at, and ID images are circles, OOD ones diamonds,
    where `is_id` says so and they are not too many. Images that are not shown (B,) are faint. Each point carries its
    row number (`customdata`).
    """
    values = table[colour_by]
    if pd.api.types.is_float_dtype(values):
        return _map(table, {title: np.ones(len(table), dtype=bool)}, [ID_COLOUR], is_shown, scale_by=colour_by)
    groups = _groups(values)
    colours = GROUP_COLOURS[: len(groups)] + (NEUTRAL,) * (len(groups) - len(GROUP_COLOURS))  # others come last
    return _map(table, groups, colours, is_shown)


def with_pictures(figure: go.Figure, places: np.ndarray, pictures: Sequence[str], edge: float) -> go.Figure:
    """A map with pictures (n,), as data URIs, at places (n, 2), each `edge` wide and high on it: they grow where one
    zooms in."""
    shared = {"xref": "x", "yref": "y", "xanchor": "center", "yanchor": "middle", "sizex": edge, "sizey": edge}
    return figure.update_layout(
        images=[
            {"source": picture, "x": float(x), "y": float(y), **shared}
            for picture, (x, y) in zip(pictures, places, strict=True)
        ]
    )


def label_map(table: pd.DataFrame, is_shown: np.ndarray | None = None) -> go.Figure:
    """A point a label, at `x` and `y`, in the colour of its `group`, one of `LABEL_COLOURS`.

    `name` is told where it is pointed at, in lines; the `label` of a class is written on the map where those of its
    group are few. Labels that are not shown (B,) are faint. Each point carries its row number (`customdata`).
    """
    groups = {name: (table["group"] == name).to_numpy() for name in LABEL_COLOURS}
    groups = {name: where for name, where in groups.items() if where.any()}
    figure = _map(table, groups, [LABEL_COLOURS[name] for name in groups], is_shown)
    for trace, name in zip(figure.data, groups, strict=True):
        if name not in CLASSES:
            continue
        trace.marker.size = 2 + 1.3 * trace.marker.size
        trace.marker.line = {"width": 1, "color": "white"}
        if groups[name].sum() <= WRITTEN:
            for label, x, y in table.loc[groups[name], ["label", "x", "y"]].itertuples(index=False):
                figure.add_annotation(x=x, y=y, text=_short(label, 20), yshift=14, showarrow=False, **PLATE)
    return figure


def _map(
    table: pd.DataFrame,
    groups: Mapping[str, np.ndarray],
    colours: Sequence[str],
    is_shown: np.ndarray | None,
    scale_by: str = "",
) -> go.Figure:
    """A group's points in its colour or, with `scale_by`, in that of each one's value in this column: a trace of its
    circles and one of its diamonds, as plotly would look at each point's symbol one by one.

    Many are small, faint circles without names: names take as long as the map, and diamonds twice as long as circles.
    """
    shown = np.ones(len(table), dtype=bool) if is_shown is None else is_shown
    figure, is_crowded = go.Figure(), len(table) > CROWDED
    scatter = go.Scatter if len(table) <= SVG_POINTS else go.Scattergl
    size, opacity = (3, 0.5) if is_crowded else (8 if len(table) <= 2000 else 5, 0.85)
    for (name, where), colour in zip(groups.items(), colours, strict=True):
        parts = [(np.flatnonzero(where), CIRCLE)] if is_crowded else _by_symbol(table, where)
        for rows, symbol in parts:
            part, chosen = table.iloc[rows], np.flatnonzero(shown[rows])
            coloured = {"color": part[scale_by], "coloraxis": "coloraxis"} if scale_by else {"color": colour}
            figure.add_trace(
                scatter(
                    x=part["x"].to_numpy(),
                    y=part["y"].to_numpy(),
                    mode="markers",
                    name=f"{_short(str(name))} ({where.sum():,})",
                    marker={"size": size, "symbol": symbol, "opacity": opacity} | coloured,
                    customdata=rows,
                    text=None if is_crowded else [_told(text) for text in part["name"]],
                    hovertemplate=f"{_short(str(name))}<extra></extra>" if is_crowded else "%{text}<extra></extra>",
                    selectedpoints=None if len(chosen) == len(rows) and shown.all() else chosen,
                    unselected={"marker": {"opacity": 0.1}},
                    legendgroup=str(name),
                    showlegend=not scale_by and rows is parts[0][0],
                )
            )
    if scale_by:
        bar = {"title": {"text": _short(next(iter(groups))), "side": "right"}, "thickness": 12}
        figure.update_layout(coloraxis={"colorscale": "Cividis", "colorbar": bar})
    bare = {"showticklabels": False, "showgrid": False, "zeroline": False, "fixedrange": False, "title": ""}
    figure.update_layout(xaxis=bare, yaxis=bare | {"scaleanchor": "x"}, dragmode="lasso")
    legend = {"orientation": "h", "x": 0, "y": 0, "yanchor": "top", "itemclick": False}  # above it are the tools
    if is_crowded:
        legend["itemsizing"] = "constant"
    return _framed(figure, height=520).update_layout(legend=legend, margin={"l": 8, "r": 8, "t": 36, "b": 8})


def _by_symbol(table: pd.DataFrame, where: np.ndarray) -> list[tuple[np.ndarray, str]]:
    """(rows (n,), symbol) of a group's images, ID and OOD; of labels all in one."""
    if "is_id" not in table:
        return [(np.flatnonzero(where), CIRCLE)]
    is_id = table["is_id"].to_numpy(dtype=bool)
    parts = [(np.flatnonzero(where & is_id), CIRCLE), (np.flatnonzero(where & ~is_id), DIAMOND)]
    return [(rows, symbol) for rows, symbol in parts if len(rows)]


def _groups(values: pd.Series) -> dict[str, np.ndarray]:
    """(B,) which points are in each group: the largest ones as there are colours, in order, and the others together."""
    counts = values.value_counts()
    named = list(counts.index[: len(GROUP_COLOURS)])
    ordered = sorted(named) if len(counts) <= len(GROUP_COLOURS) else named
    groups = {str(name): (values == name).to_numpy() for name in ordered}
    rest = ~values.isin(named).to_numpy()
    return groups | ({OTHERS: rest} if rest.any() else {})


def _curve(x: Any, y: Any, thresholds: Any, x_title: str, y_title: str) -> go.Figure:
    kept = _drawn(len(x))
    figure = go.Figure()
    figure.add_scatter(
        x=np.asarray(x)[kept],
        y=np.asarray(y)[kept],
        customdata=np.asarray(thresholds)[kept],
        mode="lines",
        line={"color": ID_COLOUR, "width": 2.5},
        hovertemplate=f"{x_title} %{{x:.1%}}<br>{y_title} %{{y:.1%}}<br>threshold %{{customdata:.4g}}<extra></extra>",
    )
    return _framed(_on_shares(figure, x_title, y_title).update_layout(showlegend=False))


def _on_shares(figure: go.Figure, x_title: str, y_title: str) -> go.Figure:
    """Both axes from 0 to 100%."""
    axis = {"range": [-0.02, 1.02], "tickformat": ".0%", "dtick": 0.25}
    return figure.update_layout(xaxis=axis | {"title": x_title}, yaxis=axis | {"title": y_title})


def _drawn(length: int) -> Any:
    """The indices of the points of a curve that are drawn."""
    return np.unique(np.linspace(0, length - 1, min(length, DRAWN_POINTS)).round().astype(int))


def _mark_operating_point(
    figure: go.Figure, points: pd.DataFrame, threshold: float | None, x: str, y: str, colour: str = OOD_COLOUR
) -> None:
    """A dot where the threshold lies on the curve; none when it lies above every score."""
    accepted = points[points["threshold"] >= threshold] if threshold is not None else points.iloc[:0]
    if len(accepted):
        here = accepted.iloc[-1]
        figure.add_scatter(
            x=[here[x]],
            y=[here[y]],
            mode="markers",
            marker={"color": colour, "size": 12, "line": {"color": "white", "width": 2}},
            hoverinfo="skip",
            showlegend=False,
        )


def _short(label: str, length: int = 34) -> str:
    return _as_text(label if len(label) <= length else label[: length - 1] + "…")


def _told(lines: str) -> str:
    """What is told of a point, line by line."""
    return "<br>".join(_short(line, 70) for line in lines.split("\n"))


def _as_text(label: str) -> str:
    """A label as it reads: Plotly would obey tags and entities in it."""
    return label.replace("&", "&amp;").replace("<", "&lt;")


def _framed(figure: go.Figure, height: int = HEIGHT) -> go.Figure:
    """The look that all charts share, over the page's own template, which also has a legend and margins.

    In a notebook that has set none the page is white, not plotly's blue.
    """
    page = "plotly_white" if pio.templates.default == "plotly" else pio.templates.default
    return figure.update_layout(
        template=f"{page}+negrefine",
        height=height,
        margin={"l": 8, "r": 20, "t": 64, "b": 8},
        legend={"orientation": "h", "x": 0, "y": 1.1, "yanchor": "bottom", "itemclick": False},
    )
