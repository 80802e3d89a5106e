"""Maps of images: places that are the same each time, samples in proportion, outlines, and what is kept of them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from negrefine_core import error_groups, label_maps, maps, paths, run_maps, show
from negrefine_core.cache import CachedEncoder
from negrefine_core.encoder import OpenClipEncoder
from negrefine_core.errors import NegRefineError
from negrefine_core.records import Negative
from negrefine_core.run_maps import Map
from negrefine_core.runs import Run, Settings
from negrefine_core.show import charts
from tests.support.runs import HOSTILE, NOUNS, REVIEWED_IDS, write_run, write_verdicts


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


def test_pictures_are_spread_one_a_cell_the_nearest_to_its_middle() -> None:
    places = np.random.default_rng(3).normal(size=(400, 2))
    rows, width = maps.spread(places, 8)
    lowest = places.min(0)
    cells = np.minimum(((places - lowest) / width).astype(int), 7)
    for row in rows:
        others = [i for i in range(400) if (cells[i] == cells[row]).all()]
        middle = lowest + (cells[row] + 0.5) * width
        assert row == min(others, key=lambda i: float(np.abs(places[i] - middle).max()))
    assert len(rows) == len(np.unique(cells, axis=0))
    assert width == pytest.approx(np.ptp(places, axis=0).max() / 8)
    assert maps.spread(places[:1], 8)[0].tolist() == [0]
    assert maps.spread(places[:0], 8)[0].tolist() == []
    assert len(maps.spread(np.zeros((5, 2)), 8)[0]) == 1


def test_a_map_is_kept_for_the_scores_and_the_model_that_it_was_made_from_and_a_damaged_one_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "CACHE", tmp_path / "cache")
    run = write_run("mapped", tmp_path / "runs", tmp_path)
    names = ("animals", "food")
    made = Map(np.arange(60), np.random.default_rng(0).normal(size=(60, 2)).astype("float32"))
    key = run_maps.of_images(run, names, "pca")
    assert run_maps.read(key) is None
    run_maps.keep(key, made)
    kept = run_maps.read(key)
    assert kept is not None
    assert (kept.places == made.places).all()
    assert (kept.rows == made.rows).all()
    assert key not in {run_maps.of_images(run, names, "tsne"), run_maps.of_images(run, ("animals",), "pca")}
    (file,) = (tmp_path / "cache" / "maps").iterdir()
    whole = file.read_bytes()
    for place in range(0, len(whole), 97):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        damaged = run_maps.read(key)
        assert damaged is None or (damaged.places == made.places).all()
    run.write_scores("food", run.image_root("food"), run.scores("food").iloc[:-1])
    assert run_maps.of_images(run, names, "pca") != key
    run.update_info(model={"name": "drawn", "fingerprint": ""})
    with pytest.raises(NegRefineError, match="without a model"):
        run_maps.of_images(run, names, "pca")


def test_a_map_of_many_images_has_a_sample_of_each_set_and_leaves_out_what_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(maps, "MOST", {"pca": 20, "tsne": 10})
    run, names = write_run("sampled", tmp_path / "runs", tmp_path), ("animals", "food")
    asked: dict[str, list[str]] = {}

    def features_of(name: str, files: Sequence[str], wanted: np.ndarray) -> tuple[np.ndarray, torch.Tensor]:
        asked[name] = [files[row] for row in wanted]
        return wanted[1:], torch.eye(32)[wanted[1:]]

    made = run_maps.draw_images(run, names, "pca", features_of)
    assert {name: len(files) for name, files in asked.items()} == {"animals": 10, "food": 10}
    files = pd.concat([run.scores(name) for name in names])["path"].tolist()
    assert [files[row] for row in made.rows] == asked["animals"][1:] + asked["food"][1:]
    kept = run_maps.read(run_maps.of_images(run, names, "pca"))
    assert kept is not None
    assert (kept.places == made.places).all()


def test_tsne_puts_what_is_alike_together_tells_how_far_it_is_and_is_the_same_each_time() -> None:
    groups = np.repeat(np.arange(3), 20)
    features = (10 * np.eye(3, 8)[groups] + np.random.default_rng(0).normal(size=(60, 8))).astype("float32")
    told: list[tuple[int, int]] = []
    places = maps.tsne(features, lambda done, total: told.append((done, total)))
    apart = np.linalg.norm(places[:, None] - places[None], axis=2) + 1e9 * np.eye(60)
    assert (groups[apart.argmin(axis=1)] == groups).all()
    assert told == [(250, 1000), (500, 1000), (750, 1000), (1000, 1000)]
    assert (maps.projected("tsne", features) == places).all()
    assert maps.tsne(features[:3]).shape == (3, 2)


def test_labels_of_a_run_without_a_model_lie_near_the_classes_that_the_judge_was_asked_about(tmp_path: Path) -> None:
    run = Run.create("asked", Settings(), REVIEWED_IDS, tmp_path)
    write_verdicts(run)
    known = label_maps.by_questions(run)
    assert known.labels == (*REVIEWED_IDS, *NOUNS)
    asked = {"common sage": [HOSTILE, "safe"], "bear garden": [HOSTILE, "bear"], "cat": [HOSTILE, "cat"], "oslo": []}
    for row, label in enumerate(known.labels):
        classes = [label] if row < len(REVIEWED_IDS) else asked.get(label, [HOSTILE])
        naive = [1 / (1 + classes.index(name)) if name in classes else 0.0 for name in REVIEWED_IDS]
        assert known.vectors[row] == pytest.approx(np.array(naive) / max(float(np.linalg.norm(naive)), 1e-9))
    assert [known.labels[row] for row in set(range(len(known.labels))) - set(known.known)] == ["oslo"]
    assert known.around("safe", 99) == ["common sage"], "what has nothing in common with it does not lie around it"
    assert len(known.around(HOSTILE, 99)) == len(known.known) - len(REVIEWED_IDS), "the other ID classes do not"
    assert known.around("oslo", 3) == known.around("no such label", 3) == []


def test_the_labels_of_two_runs_are_on_one_map_and_a_class_of_either_is_no_negative(
    tmp_path: Path, encoder: OpenClipEncoder
) -> None:
    def mined(name: str, classes: list[str], nouns: list[str]) -> Run:
        run = Run.create(name, Settings(), classes, tmp_path)
        run.update_info(model={"name": encoder.name, "fingerprint": encoder.fingerprint})
        run.write_initial_negatives([Negative(noun, "noun", 0.1) for noun in nouns])
        return run

    before = mined("before", ["cat", "teapot"], ["rust", "harbour", "violin"])
    after = mined("after", ["cat", "violin"], ["rust", "wine"])
    cached = CachedEncoder(encoder, tmp_path / "cache")
    both, alone = label_maps.by_model(after, cached, before), label_maps.by_model(after, cached)
    assert both.id_labels == ("cat", "violin", "teapot")
    assert both.negatives == ("rust", "wine", "harbour")
    assert alone.labels == ("cat", "violin", "rust", "wine")
    rows = [both.labels.index(label) for label in alone.labels]
    np.testing.assert_allclose(both.vectors[rows], alone.vectors, atol=1e-5)


def test_a_map_with_pictures_has_each_at_its_place_and_the_names_of_few_classes() -> None:
    table = pd.DataFrame({"label": ["a", "b", "c"], "group": ["new ID class", "ID class", "came"], "name": "n"})
    figure = charts.label_map(table.assign(x=[0.0, 1.0, 2.0], y=1.0))
    assert [(name.text, name.x) for name in figure.layout.annotations] == [("b", 1.0), ("a", 0.0)]
    drawn = charts.with_pictures(figure, np.array([[0.0, 1.0], [2.0, 3.0]]), ["data:1", "data:2"], 0.5)
    assert [(p.source, p.x, p.y, p.sizex) for p in drawn.layout.images] == [
        ("data:1", 0.0, 1.0, 0.5),
        ("data:2", 2.0, 3.0, 0.5),
    ]


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
    of_id, of_ood = charts.image_map(table, "value", "score").data
    assert of_id.selectedpoints is None
    assert of_id.marker.coloraxis == of_ood.marker.coloraxis
    assert (list(of_id.customdata), of_id.marker.symbol) == ([0, 1, 2, 3], charts.CIRCLE)
    assert (list(of_ood.customdata), of_ood.marker.symbol) == ([4, 5, 6, 7, 8], charts.DIAMOND)
    listed = [trace.name for trace in charts.image_map(table.assign(group="a"), "group").data if trace.showlegend]
    assert listed == ["a (9)"]
    crowd = pd.concat([table] * 2300, ignore_index=True)  # 20,700 points
    for crowded in (charts.image_map(crowd, "group"), charts.image_map(crowd, "value", "score")):
        assert sum(len(trace.customdata) for trace in crowded.data) == 20_700
        for many in crowded.data:
            assert many.marker.size < figure.data[0].marker.size
            assert (many.marker.symbol, many.text) == (charts.CIRCLE, None)


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
