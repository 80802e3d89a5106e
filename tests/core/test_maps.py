"""Maps of images: places that are the same each time, samples in proportion, outlines, and what is kept of them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from negrefine_core import error_groups, image_maps, maps, paths, show
from negrefine_core.errors import NegRefineError
from negrefine_core.image_maps import ImageMap
from negrefine_core.show import charts
from tests.support.runs import write_run


def test_pca_is_a_naive_projection_on_the_two_directions_of_most_variance_and_the_same_each_time() -> None:
    features = np.random.default_rng(0).normal(size=(40, 6)).astype("float32") * [5, 1, 3, 1, 1, 1]
    places = maps.pca(features)
    centred = features - features.mean(0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    assert np.abs(places) == pytest.approx(np.abs(centred @ directions[:2].T), abs=1e-3)
    assert (maps.pca(features) == places).all()
    assert maps.pca(features[:1]).tolist() == [[0, 0]]
    assert maps.pca(features[:, :1]).shape == (40, 2)


def test_a_sample_takes_each_stratum_in_proportion_and_none_of_them_goes_missing() -> None:
    strata = ["a"] * 700 + ["b"] * 200 + ["c"] * 99 + ["d"]
    drawn = maps.sample(strata, 100)
    counts = {name: sum(strata[i] == name for i in drawn) for name in "abcd"}
    assert len(set(drawn.tolist())) == 100
    assert all(abs(counts[name] - strata.count(name) / 10) <= 1.5 for name in "abc")
    assert counts["d"] == 1
    assert (maps.sample(strata, 100) == drawn).all()
    assert maps.sample(strata, 1000).tolist() == list(range(1000))


def test_what_lies_inside_an_outline_is_found_as_by_a_naive_count_of_crossings() -> None:
    generator = np.random.default_rng(1)
    outline, places = generator.normal(size=(9, 2)), generator.normal(size=(200, 2))

    def crossings(x: float, y: float) -> int:
        """Of a ray to the right with the outline's edges."""
        count = 0
        for (x0, y0), (x1, y1) in zip(outline, [*outline[1:], outline[0]], strict=True):
            if (y0 > y) != (y1 > y):
                count += x0 + (y - y0) / (y1 - y0) * (x1 - x0) > x
        return count

    found = maps.inside(places, outline)
    assert found.tolist() == [crossings(x, y) % 2 == 1 for x, y in places]
    assert found.any()


def test_a_map_is_kept_for_the_scores_and_the_model_that_it_was_made_from_and_a_damaged_one_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "CACHE", tmp_path / "cache")
    run = write_run("mapped", tmp_path / "runs", tmp_path)
    names = ("animals", "food")
    made = ImageMap(np.arange(60), np.random.default_rng(0).normal(size=(60, 2)).astype("float32"))
    assert image_maps.read_map(run, names, 100) is None
    image_maps.keep_map(run, names, 100, made)
    kept = image_maps.read_map(run, names, 100)
    assert kept is not None
    assert (kept.places == made.places).all()
    assert (kept.rows == made.rows).all()
    assert image_maps.read_map(run, names, 99) is None
    assert image_maps.read_map(run, ("animals",), 100) is None
    (file,) = (tmp_path / "cache" / "maps").iterdir()
    whole = file.read_bytes()
    for place in range(0, len(whole), 97):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        damaged = image_maps.read_map(run, names, 100)
        assert damaged is None or (damaged.places == made.places).all()
    file.write_bytes(whole)
    run.write_scores("food", run.image_root("food"), run.scores("food").iloc[:-1])
    assert image_maps.read_map(run, names, 100) is None
    run.update_info(model={"name": "drawn", "fingerprint": ""})
    with pytest.raises(NegRefineError, match="without a model"):
        image_maps.read_map(run, names, 100)


def test_a_maps_chart_says_each_points_row_and_leaves_what_is_not_shown_faint() -> None:

    table = pd.DataFrame(
        {
            "x": np.arange(9.0),
            "y": np.arange(9.0),
            "name": ["<b>"] * 9,
            "group": list("aabbcdefg"),
            "value": np.linspace(0, 1, 9),
            "is_id": [True] * 4 + [False] * 5,
        }
    )
    shown = np.arange(9) % 2 == 0
    figure = charts.image_map(table, "group", is_shown=shown)
    assert [trace.name for trace in figure.data][-1] == "others (1)"
    rows = np.concatenate([trace.customdata for trace in figure.data])
    assert sorted(rows) == list(range(9))
    bright = np.concatenate([trace.customdata[list(trace.selectedpoints)] for trace in figure.data])
    assert sorted(bright) == [0, 2, 4, 6, 8]
    assert set(figure.data[0].text) == {"&lt;b>"}
    (scale,) = charts.image_map(table, "value", "score").data
    assert scale.selectedpoints is None
    assert list(scale.marker.symbol) == [charts.CIRCLE] * 4 + [charts.DIAMOND] * 5


def test_mistakes_are_grouped_with_those_alike_named_by_what_most_are_similar_to_and_told_in_a_notebook() -> None:
    generator = np.random.default_rng(0)
    centres = np.eye(4)[[0, 1, 2, 3]]
    kinds = [0] * 8 + [1] * 5 + [2] * 3 + [3] * 9  # two of OOD let in, one of ID missed, and what is right
    features = (centres[kinds] + generator.normal(0, 0.01, (25, 4))).astype("float32")
    table = pd.DataFrame(
        {
            "outcome": ["FP"] * 13 + ["FN"] * 3 + ["TP"] * 9,
            "id_labels": [["ship", "cat"]] * 8 + [["cat", "ship"]] * 5 + [["<b>", "cat"]] * 3 + [["cat"]] * 9,
            "negative_labels": [["boat", "rust"]] * 5 + [["rust", "boat"]] * 3 + [["fur"]] * 5 + [["rust"]] * 12,
            "negrefine": [3.0] * 13 + [0.0] * 3 + [2.0] * 9,
            "is_id": [False] * 13 + [True] * 12,
            "file": [""] * 25,
        }
    )
    groups = error_groups.error_groups(table, features)
    fp = [group for group in groups if group.outcome == "FP"]
    assert sorted(row for group in groups for row in group.rows.tolist()) == list(range(16))
    assert all(len({kinds[row] for row in group.rows}) == 1 for group in fp)
    assert {group.name for group in fp} == {"boat taken for ship", "fur taken for cat"}
    assert [len(group.rows) for group in groups] == sorted((len(group.rows) for group in groups), reverse=True)
    assert error_groups.error_groups(table.iloc[16:], features[16:]) == []
    told = show.error_groups(table, torch.from_numpy(features))
    assert "boat taken for ship" in told.text
    assert "<b>" not in told.html.replace("<p><b>", "")
