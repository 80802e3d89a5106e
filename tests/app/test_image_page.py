"""The Image page without a browser: labels switched off, badges, neighbours and a picture of one's own; and the search
in Explore, which needs a model, too."""

import os
from pathlib import Path
from urllib.parse import parse_qs

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from negrefine_core import overrides, paths, pipeline, scoring, selections
from negrefine_core.cache import CachedEncoder
from negrefine_core.detector import Without
from negrefine_core.encoder import OpenClipEncoder, load_encoder
from negrefine_core.error_groups import error_groups
from negrefine_core.image_sets import open_image_set, read_image
from negrefine_core.labels import NOUN_TEMPLATES
from negrefine_core.records import Negative
from negrefine_core.runs import Run, Settings
from tests.support.app_driver import at, query, settled, texts
from tests.support.pictures import encoded, picture, write_pictures

NOUNS = ["stone wheel", "cloud song", "river field", "paper glass", "stone moon", "cloud wheel", "river song", "mud"]


@pytest.fixture(scope="module")
def run(tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run scored with the tiny model."""
    folder = tmp_path_factory.mktemp("switched")
    roots = {name: write_pictures(folder / name, 8, seed) for name, seed in (("animals", 0), ("food", 50))}
    settings = Settings(model=tiny_model, id_images=str(roots["animals"]), ood_images={"food": str(roots["food"])})
    run = Run.create("switched", settings, ["cat", "dog", "fox", "owl", "bee", "cow, brown"], paths.RUNS)
    model = CachedEncoder(load_encoder(tiny_model))
    run.update_info(model={"name": "tiny", "fingerprint": model.fingerprint, "precision": model.precision})
    negatives = [Negative(label, "noun", 0.1) for label in NOUNS]
    run.write_initial_negatives(negatives)
    run.write_negatives(negatives)
    pipeline.score(run, model, [open_image_set(root, name) for name, root in roots.items()])
    return run


def test_an_id_image_says_where_its_own_class_comes_among_the_id_labels(run: Run) -> None:
    table, root = run.scores("animals"), run.image_root("animals")
    path = str(table["path"][0])
    scorer = pipeline.detector(run, CachedEncoder(load_encoder(run.settings.model)))
    feature = scorer.encoder.encode_images([read_image(root / path)])
    similarity = scoring.similarity(feature, scorer.id_features)[0]
    order = similarity.argsort(descending=True).tolist()
    try:
        for place in (1, 6):  # among the top five of the scores, and not
            own = run.id_labels[order[place - 1]]
            run.write_scores("animals", root, table.assign(**{"class": own}))
            found = f"is number **{place}** of the 6 ID labels, with similarity {similarity[order[place - 1]]:.1f}"
            assert found in texts(settled(at("image", run="switched", image=f"animals/{path}")))
    finally:
        run.write_scores("animals", root, table)
    assert "Its own class" not in texts(settled(at("image", run="switched", image=f"animals/{path}")))


def test_a_label_switched_off_shows_the_detectors_score_without_it_and_is_in_the_url(run: Run) -> None:
    image = run.scores("animals").iloc[0]
    app = at("image", run="switched", image=f"animals/{image['path']}")
    negative, name = image["negative_labels"][0], image["id_labels"][1]
    app.checkbox(key=f"switch_off_{negative}").uncheck().run()
    app.checkbox(key=f"switch_off_ids_{name}").uncheck().run()
    assert query(app)["off"] == negative
    assert query(app)["off_ids"] == name
    app = settled(app)
    scorer = pipeline.detector(run, CachedEncoder(load_encoder(run.settings.model)))
    feature = scorer.encoder.encode_images([read_image(run.image_root("animals") / image["path"])])
    expected = scorer.score_features(feature, without=Without(frozenset({name}), frozenset({negative}))).iloc[0]
    shown = {metric.label: metric.value for metric in app.metric}
    assert shown == {
        "NegRefine": f"{expected['negrefine']:.3f}", "NegLabel": f"{expected['neglabel']:.3f}",
        "Matching": f"{expected['multi_matching']:.3f}",
    }  # fmt: skip
    assert "Still taken for" in texts(app) or "decision flips" in texts(app)
    all_on = next(button for button in app.button if button.label == "Switch all on")
    assert not {"off", "off_ids"} & set(query(all_on.click().run()))


def test_switching_every_id_label_off_gets_a_message(run: Run) -> None:
    image = run.scores("animals").iloc[0]
    off = "\n".join(run.id_labels)
    app = settled(at("image", run="switched", image=f"animals/{image['path']}", off_ids=off))
    assert "at least one ID label" in texts(app)


def test_similar_pictures_are_the_nearest_by_a_naive_count(run: Run) -> None:
    from negrefine_app.shared import features

    image = run.scores("animals").iloc[0]
    app = settled(at("image", run="switched", image=f"animals/{image['path']}"))
    sets = [features.image_features(run, name) for name in ("animals", "food")]
    places = [address for each in sets for address in each.addresses]
    vectors = np.concatenate([each.features.numpy() for each in sets])
    own = vectors[places.index(f"animals/{image['path']}")]
    cosines = sorted((float(v @ own) for v, at in zip(vectors, places, strict=True)
                      if at != f"animals/{image['path']}"), reverse=True)[:12]  # fmt: skip
    links = [link.label for link in app.get("page_link") if "** · " in link.label and "data:image" in link.label]
    assert [float(label.split("**")[1]) for label in links] == pytest.approx(cosines, abs=0.006)


def test_the_mistakes_on_the_map_are_in_groups_by_their_features_and_a_click_opens_one(run: Run) -> None:
    tables = {name: run.scores(name) for name in ("animals", "food")}
    at_score = float(np.median(np.concatenate([table["negrefine"] for table in tables.values()])))
    is_wrong = {"animals": tables["animals"]["negrefine"] < at_score, "food": tables["food"]["negrefine"] >= at_score}
    wrong = pd.concat([table[is_wrong[name]].assign(image_set=name) for name, table in tables.items()])
    wrong["outcome"] = wrong["image_set"].map({"animals": "FN", "food": "FP"})
    images = [
        read_image(run.image_root(name) / path) for name, path in wrong[["image_set", "path"]].itertuples(index=False)
    ]
    expected = error_groups(wrong, load_encoder(run.settings.model).encode_images(images).numpy())
    app = settled(at("explore", run="switched", show="map", threshold=str(at_score)))
    buttons = [button for button in app.button if str(button.key).startswith("group_")]
    assert [int(button.label.split("**")[1]) for button in buttons] == [len(group.rows) for group in expected]
    opened = selections.read(run, query(buttons[0].click().run())["selection"])
    assert {f"{name}/{path}" for name, paths in opened.images.items() for path in paths} == {
        f"{row.image_set}/{row.path}" for row in wrong.iloc[expected[0].rows].itertuples()
    }


def test_each_negatives_badge_says_what_was_decided_and_opens_its_review(run: Run) -> None:
    image = run.scores("food").iloc[0]
    label = image["negative_labels"][0]
    address = f"food/{image['path']}"
    overrides.override(run, [label], overrides.DROPPED, "me")
    app = at("image", run="switched", image=address)
    badges = [link for link in app.get("page_link") if "-badge[" in link.label]
    assert [badge.label for badge in badges] == [":red-badge[dropped by you]", *[":green-badge[kept]"] * 4]
    assert "label=" in badges[0].proto.query_string
    overrides.undo(run, "me")


def uploaded(content: bytes, name: str = "mine.png") -> AppTest:
    app = at("image", run="switched")
    app.file_uploader(key="own_picture").set_value((name, content, "image/png"))
    return settled(app.run())


def test_a_picture_of_ones_own_gets_its_score_and_leaves_nothing_in_the_run(run: Run) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")}
    app = uploaded(encoded(picture(7)))
    scorer = pipeline.detector(run, CachedEncoder(load_encoder(run.settings.model)))
    assert f"NegRefine score **{scorer.score([picture(7)])['negrefine'].iloc[0]:.3f}**" in texts(app)
    assert {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")} == before


@pytest.mark.parametrize(
    ("content", "reason"), [(b"only text", "not a picture"), (b"", "empty file"),
                            (encoded(Image.new("1", (30_000, 30_000))), "too large")],
    ids=["text", "empty", "30000x30000"],
)  # fmt: skip
def test_what_is_no_picture_is_refused_with_the_reason(run: Run, content: bytes, reason: str) -> None:
    app = uploaded(content, "a<b>.png")
    assert reason in app.error[0].value
    assert "\\<b\\>" in app.error[0].value


def test_a_run_whose_labels_are_not_embedded_offers_to_do_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from negrefine_app.shared import features

    monkeypatch.setattr(features, "_missing", lambda run: 5000)
    os.utime(run.path("negatives.csv"))  # what was found of the labels before does not count any more
    image = run.scores("animals").iloc[1]
    app = at("image", run="switched", image=f"animals/{image['path']}", off=image["negative_labels"][1])
    for _ in range(20):
        app.run()
        if any(button.key == "prepare" for button in app.button):
            break
    assert "has not embedded this run’s 5,000 labels" in texts(app)


def test_a_damaged_picture_is_a_message(run: Run, tmp_path: Path) -> None:
    image = run.scores("food").iloc[3]
    file = run.image_root("food") / image["path"]
    content = file.read_bytes()
    file.write_bytes(b"text")
    app = settled(at("image", run="switched", image=f"food/{image['path']}", off=NOUNS[0]))
    assert "cannot be shown" in texts(app)
    file.write_bytes(content)


def _nearest(like: np.ndarray) -> list[tuple[str, float]]:
    """The address and 100 x cosine of each picture, the most similar first, by a naive count."""
    from negrefine_app.shared import features

    run, found = Run.open("switched"), []
    for name in ("animals", "food"):
        each = features.image_features(run, name)
        found += [
            (at, 100 * float(vector @ like)) for at, vector in zip(each.addresses, each.features.numpy(), strict=True)
        ]
    return sorted(found, key=lambda pair: -pair[1])


def _cards(app: AppTest) -> list[tuple[str, float]]:
    """The address and the similarity on each card of the gallery."""
    cards = [link for link in app.get("page_link") if "similarity **" in link.label]
    pictures = [parse_qs(link.proto.query_string)["image"][0] for link in cards]
    return [(at, float(link.label.split("**")[1])) for at, link in zip(pictures, cards, strict=True)]


def test_words_find_the_images_and_the_labels_nearest_to_them_as_a_class_of_that_name_would(
    run: Run, encoder: OpenClipEncoder
) -> None:
    app = at("explore", run="switched")
    app.text_input(key="pick_words").set_value("<b>striped</b> animal").run()
    settled(app)
    assert (query(app)["words"], query(app)["sort"]) == ("<b>striped</b> animal", "similar")
    expected = _nearest(encoder.encode_labels(["<b>striped</b> animal"], NOUN_TEMPLATES)[0].numpy())
    assert [value for _, value in _cards(app)] == pytest.approx([value for _, value in expected], abs=0.06)
    assert "nearest to “\\<b\\>striped\\</b\\> animal”" in texts(app)
    app.selectbox(key="pick_nearest").select("12").run()
    settled(app, lambda app: len(_cards(app)) == 12)
    assert sum(int(button.label.split("**")[1]) for button in app.button if str(button.key).startswith("tile_")) == 12
    labels = next(text for text in texts(app).splitlines() if text.startswith("Your classes: "))
    similar = scoring.similarity(
        encoder.encode_labels(["<b>striped</b> animal"], NOUN_TEMPLATES),
        encoder.encode_labels(run.id_labels, NOUN_TEMPLATES),
    )[0]
    assert f"{similar.max():.1f}" in labels.split(" · ")[0]
    next(button for button in app.button if button.label == "Stop searching").click().run()
    assert query(app).keys() == {"run", "nearest"}


def test_a_picture_finds_those_like_it_and_a_text_too_long_or_a_picture_elsewhere_is_told(run: Run) -> None:
    from negrefine_app.shared import features

    image = run.scores("animals").iloc[0]
    like = f"animals/{image['path']}"
    vectors = features.image_features(run, "animals")
    app = settled(at("explore", run="switched", like=like, sort="similar"))
    expected = _nearest(vectors.features[vectors.addresses.index(like)].numpy())
    assert [value for _, value in _cards(app)] == pytest.approx([value for _, value in expected], abs=0.06)
    assert _cards(app)[0][0] == like
    for nonsense, said in (
        ({"words": "a" * 10_000}, "10,000 characters"),
        ({"like": "animals/../x.png"}, "outside the image set"),
        ({"like": "nope/x.png"}, "nope"),
    ):
        app = at("explore", run="switched", **nonsense)
        assert not app.exception
        assert said in app.warning[0].value.replace("\\", "")
        assert not _cards(app)
    assert not at("explore", run="switched", words="  ").warning
