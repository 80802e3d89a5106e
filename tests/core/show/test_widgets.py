"""The views that a notebook can be clicked in: they answer as the kernel is told of a line, or of what is typed."""

import builtins
from pathlib import Path
from typing import Any

import pytest
import torch

from negrefine_core import overrides, pipeline, show
from negrefine_core.cache import CachedEncoder
from negrefine_core.errors import NegRefineError
from negrefine_core.image_sets import open_image_set
from negrefine_core.judges.wordnet import WordNetJudge
from negrefine_core.runs import Run
from negrefine_core.show import widgets
from tests.support.pictures import write_pictures
from tests.support.runs import WORDS, refined_run, write_run


def test_a_line_on_the_map_shows_the_pictures_of_all_groups_that_it_holds(tmp_path: Path) -> None:
    run = write_run("drawn", tmp_path / "runs", tmp_path)
    images = show.scored(run)
    view = widgets.image_map(images, torch.eye(60, 16))
    chart, below = view.widget.children
    assert "Draw a line" in below.value
    traces = [(number, 0) for number in range(len(chart.data))]
    chart._js2py_pointsCallback = {  # what the browser sends
        "event_type": "plotly_selected",
        "points": {
            "trace_indexes": [trace for trace, _ in traces],
            "point_indexes": [point for _, point in traces],
            "xs": [0.0] * len(traces),
            "ys": [0.0] * len(traces),
        },
    }
    rows = sorted(int(trace.customdata[0]) for trace in chart.data)
    assert len(rows) > 1
    assert below.value == show.gallery(images.iloc[rows], "image_set", "negrefine", title=f"{len(rows)} images").html


@pytest.fixture
def scored(tiny_model: str, cached: CachedEncoder, tmp_path: Path) -> Run:
    run = refined_run(tmp_path.name, tiny_model)
    for seed, (name, role) in enumerate({"inside": "ID", "outside": "OOD"}.items()):
        pipeline.score(run, cached, [open_image_set(write_pictures(tmp_path / name, 5, 100 * seed), name)])
        run.set_role(name, role)
    pipeline.refine(run, cached, WordNetJudge())
    overrides.override(run, [WORDS[0]], "dropped", who="a reader")
    return run


def test_a_typed_label_shows_its_card_and_what_its_change_would_do(scored: Run, cached: CachedEncoder) -> None:
    images = show.scored(scored)
    effects = pipeline.effects(scored, cached, images)
    kept, rejected = scored.negatives[0].label, WORDS[0]
    for view in (widgets.label_card(scored), widgets.label_effect(scored, effects, images)):
        line, below = view.widget.children
        line.value = kept
        of_kept = below.value
        line.value = rejected
        of_rejected = below.value
        assert of_rejected != of_kept
        line.value = "no such label"
        assert below.value == of_rejected
    assert f"{rejected}: dropped" in widgets.label_card(scored, rejected).still.html
    assert "restored" in widgets.label_effect(scored, effects, images, rejected).still.html
    with pytest.raises(NegRefineError, match="no negative label 'nothing'"):
        widgets.label_card(scored, "nothing")


def test_each_view_has_a_still_picture_and_says_what_is_not_installed(
    scored: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = widgets.label_card(scored)
    shown = view._repr_mimebundle_()
    assert shown["text/html"] == view.still.html
    assert shown[widgets.VIEW]["model_id"] == view.widget.model_id
    real = builtins.__import__

    def missing(name: str, *rest: Any, **named: Any) -> Any:
        if name == "anywidget":
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(NegRefineError, match='pip install "ipywidgets" "anywidget"'):
        widgets.label_card(scored)
