"""What a notebook shows besides the charts: galleries and tables as HTML whose pictures stand in the page itself.

Names from files and word lists may hold HTML; here they are text.
"""

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .. import operating_point
from ..comparison import Difference
from ..error_groups import error_groups as grouped
from ..errors import NegRefineError
from ..pictures import locate
from ..runs import Run
from .thumbnails import data_uri, shrunk

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from ..detector import NegRefineDetector
    from ..effects import Effect

EDGE = 88  # pixels of a picture in a gallery
SMALL = 44  # and in a table
SHOWN_NAMES = 8
CELL = "padding:2px 12px 2px 0;text-align:left;vertical-align:middle"


@dataclass(frozen=True)
class Html:
    """HTML that notebooks draw; `text` is what a terminal prints instead."""

    html: str
    text: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return self.text


def scored(run: Run, id_set: str | None = None, ood_sets: Iterable[str] = ()) -> pd.DataFrame:
    """The scores of a run's ID set and OOD sets (by default its own), one row an image; unknown sets are left out.

    The columns of its score files, and `image_set`, `is_id` and `file`, where the picture lies ("" where it is gone).
    """
    if not run.scored_sets:
        raise NegRefineError(f"the run {run.name!r} has no scores yet; do the step 'score' first")
    inside = run.known_id_set(id_set or "")
    outside = list(ood_sets) or [name for name in run.ood_sets if name != inside]
    parts = []
    for name in [inside, *outside]:
        part = run.scores(name)
        files = [_located(run, name, path) for path in part["path"]]
        parts.append(part.assign(image_set=name, is_id=name == inside, file=files))
    return pd.concat(parts, ignore_index=True)


def _located(run: Run, image_set: str, path: str) -> str:
    try:
        return str(locate(run, image_set, path))
    except NegRefineError:
        return ""


def gallery(table: pd.DataFrame, *captions: str, title: str = "", limit: int = 12) -> Html:
    """The first pictures of a scored table (its column `file`), each over its class and the columns named.

    Of a column of lists, such as `id_labels`, the first name is shown.
    """
    shown = table.head(limit)
    lines = [[_class(row), *(_caption(name, row[name]) for name in captions)] for row in shown.to_dict("records")]
    more = f"and {len(table) - limit:,} more" if len(table) > limit else ""
    return pictures(list(shown["file"]), lines, title, more)


def _class(row: Mapping[Any, Any]) -> str:
    name = row.get("class")
    return name if isinstance(name, str) else Path(str(row["file"])).name


def _caption(name: str, value: object) -> str:
    if isinstance(value, list | tuple | np.ndarray):
        value = value[0] if len(value) else "–"
    return f"{name.removesuffix('_labels').replace('_', ' ')}: {_text(value)}"


def pictures(
    images: Sequence["str | Path | Image.Image"],
    captions: Sequence[Sequence[str]] = (),
    title: str = "",
    more: str = "",
) -> Html:
    """Pictures side by side, each over its lines of text. One that cannot be read leaves its place empty."""
    captions = captions or [[]] * len(images)
    cards = []
    for image, lines in zip(images, captions, strict=True):
        name = html.escape(lines[0] if lines else "picture")
        below = "<br>".join(html.escape(line) for line in lines)
        cards.append(
            f'<figure style="margin:0 0 8px;width:{EDGE + 32}px;font-size:11px;line-height:1.35;'
            f'overflow-wrap:anywhere">{_img(image, EDGE, name)}<figcaption>{below}</figcaption></figure>'
        )
    head = f"<p><b>{html.escape(title)}</b></p>" if title else ""
    body = f'<div style="display:flex;flex-wrap:wrap;gap:4px">{"".join(cards)}</div>'
    text = [title, *(" · ".join(lines) for lines in captions), more]
    return Html(f"{head}{body}<p>{html.escape(more)}</p>", "\n".join(line for line in text if line))


def _img(image: "str | Path | Image.Image", edge: int, name: str) -> str:
    try:
        if isinstance(image, str) and not image:
            raise NegRefineError("the file is gone")
        source = data_uri(shrunk(image, edge))
    except (NegRefineError, OSError):
        return f'<div style="width:{edge}px;height:{edge}px">(no picture)</div>'
    return f'<img alt="{name}" src="{source}" style="max-width:{edge}px;max-height:{edge}px;background:white">'


def table(frame: pd.DataFrame, title: str = "", limit: int = 12) -> Html:
    """The first rows of a table; a column `file` or `files` (a list) is drawn as small pictures."""
    shown = frame.head(limit)
    head = "".join(f'<th style="{CELL}">{html.escape(_heading(name))}</th>' for name in shown.columns)
    rows = [
        "".join(f'<td style="{CELL}">{_cell(str(name), row[name])}</td>' for name in shown.columns)
        for row in shown.to_dict("records")
    ]
    more = f"<p>and {len(frame) - limit:,} more</p>" if len(frame) > limit else ""
    above = f"<p><b>{html.escape(title)}</b></p>" if title else ""
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return Html(f"{above}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}", shown.to_string())


def error_groups(images: pd.DataFrame, features: "Tensor", score: str = "negrefine", limit: int = 12) -> Html:
    """A scored table's mistakes at the threshold that keeps 95% of the ID images, in groups of alike pictures.

    Args:
        images: from `scored`.
        features: (B, D) of the same images, from `pipeline.image_features`.
        score: the column of the score.
        limit: how many groups are shown, the largest first.
    """
    at = operating_point.threshold(images, score)
    judged = images.assign(outcome=operating_point.outcomes(images, score, at))
    groups = grouped(judged, features.numpy())
    rows = [
        {
            "group": group.name,
            "images": len(group.rows),
            "kind": "OOD let in" if group.outcome == "FP" else "ID missed",
            "files": list(images["file"].iloc[group.rows[:SHOWN_NAMES]]),
        }
        for group in groups
    ]
    count = sum(len(group.rows) for group in groups)
    return table(pd.DataFrame(rows), f"{count:,} mistakes in {len(groups):,} groups of alike pictures", limit)


def _heading(name: object) -> str:
    return "" if name in ("file", "files") else str(name).replace("_", " ")


def _cell(name: str, value: object) -> str:
    if name == "file":
        return _img(str(value), SMALL, "picture")
    if name == "files" and isinstance(value, list):
        return "".join(_img(file, SMALL, "picture") for file in value) or "–"
    return html.escape(_text(value))


def _text(value: object) -> str:
    if isinstance(value, list | tuple | np.ndarray):
        return ", ".join(_text(item) for item in value)
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else f"{value:.4g}"
    return str(value)


def differences(found: Sequence[Difference], names: tuple[str, str] = ("first", "second")) -> Html:
    """What `metric_differences` found, in percent, with whether each change is beyond its 95% interval."""
    rows = [
        {
            "OOD set": d.ood_set,
            "metric": "AUROC" if d.metric == "auroc" else "FPR@95",
            names[0]: f"{100 * d.first:.1f}",
            names[1]: f"{100 * d.second:.1f}",
            "change (95% interval)": f"{points(d.second - d.first)} ({points(d.low)} to {points(d.high)})",
            "beyond the interval": "yes" if d.is_clear else "no",
        }
        for d in found
    ]
    return table(pd.DataFrame(rows), limit=len(rows))


def points(difference: float, decimals: int = 1) -> str:
    """A difference of two shares in percentage points, with a sign that no rounded zero bears wrongly."""
    return f"{100 * difference:+z.{decimals}f}".replace("-", "−")


def effect(found: "Effect", images: pd.DataFrame, title: str = "") -> Html:
    """What one negative's coming or going does to AUROC, FPR@95 and single images (`images`: one row a score).

    Raises NegRefineError when there are no ID or no OOD images.
    """
    from ..metrics import ood_metrics

    inside = images["is_id"].to_numpy()
    before, after = found.before.numpy(), found.after.numpy()
    was, now = (ood_metrics(scores[inside], scores[~inside]) for scores in (before, after))
    flips = found.flips(was.threshold95).numpy()
    attracted = found.attracted.numpy()
    rows = [
        ("AUROC", f"{100 * was.auroc:.2f}%", f"{100 * now.auroc:.2f}%"),
        ("FPR@95", f"{100 * was.fpr95:.1f}%", f"{100 * now.fpr95:.1f}%"),
        ("images that change sides", "", str(int(flips.sum()))),
        ("ID images that have it among their top negatives", "", str(int((attracted & inside).sum()))),
        ("OOD images that have it among their top negatives", "", str(int((attracted & ~inside).sum()))),
    ]
    return table(pd.DataFrame(rows, columns=["", "before", "after"]), title)


def detector_card(detector: "NegRefineDetector") -> Html:
    """A detector: its classes, its negatives by kind, its settings and its notes."""
    config, nouns = detector.config, detector.n_nouns
    rows = [
        ("model", detector.encoder.name),
        (f"{len(detector.id_labels):,} ID classes", _names(detector.id_labels)),
        (f"{nouns:,} negative nouns", _names(detector.negatives[:nouns])),
        (f"{len(detector.negatives) - nouns:,} negative adjectives", _names(detector.negatives[nouns:])),
        (
            "score",
            f"NegLabel over {detector.n_groups} group{'s' * (detector.n_groups > 1)} + {config.alpha:g} × "
            f"multi-matching of the top {config.top_k}; higher = more in-distribution",
        ),
        *(("note", note) for note in detector.notes),
    ]
    body = "".join(
        f'<tr><th style="{CELL}">{html.escape(name)}</th><td style="{CELL}">{html.escape(value)}</td></tr>'
        for name, value in rows
    )
    text = "\n".join(f"{name}: {value}" for name, value in rows)
    return Html(f"<b>NegRefine detector</b><table>{body}</table>", text)


def _names(labels: Sequence[str]) -> str:
    more = f", and {len(labels) - SHOWN_NAMES:,} more" if len(labels) > SHOWN_NAMES else ""
    return ", ".join(labels[:SHOWN_NAMES]) + more if labels else "–"
