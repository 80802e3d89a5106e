"""The app's pages, driven without a browser on a small run that is written through the Run API."""

import io
import shutil
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
from negrefine_app.classes.view import ClassesView
from negrefine_app.compare import sides as compared_sides
from negrefine_app.compare.view import CompareView
from negrefine_app.explore.view import ExploreView
from negrefine_app.image.view import ImageView
from negrefine_app.learn.view import LearnView
from negrefine_app.review import figures
from negrefine_app.review.view import ReviewView
from negrefine_app.score.view import ScoreView
from negrefine_app.shared.operating_point import threshold
from negrefine_app.shared.scored_images import ScoredImages
from negrefine_app.shared.view import View
from streamlit.testing.v1 import AppTest

from negrefine_core import methods, operating_point, paths
from negrefine_core.methods import METHODS, Method
from negrefine_core.metrics import Convention, ood_metrics
from negrefine_core.records import Negative
from negrefine_core.run_files import large_scores
from negrefine_core.run_files.info import ScoredWith
from negrefine_core.runs import Run, Settings, class_list_hash
from negrefine_core.show import charts
from negrefine_core.show.csv import csv_of
from tests.support.app_driver import at, query, texts
from tests.support.runs import N_IMAGES, refined, write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return write_run("drawn", paths.RUNS, tmp_path_factory.mktemp("pictures"))


def opened(page: str = "explore", /, **query: str) -> AppTest:
    """The app at a URL of the drawn run."""
    return at(page, **({"run": "drawn"} | query))


def test_explore_opens_on_the_runs_own_sets_with_its_provenance(run: Run) -> None:
    app = opened()
    assert not app.exception
    assert app.selectbox(key="pick_id").value == "animals"
    shown = texts(app)
    for fact in ("drawn", "0123456789ab", run.info.class_list_hash, "judge wordnet", "0 overrides", "1 unreadable"):
        assert fact in shown


def test_a_set_that_is_too_large_to_look_through_shows_a_sample_and_says_so(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large_scores, "MOST", 20)
    many = run.copy("many")
    many.write_scores("food", run.image_root("food"), pd.concat([run.scores("food")] * 3))
    for page in ("explore", "compare"):
        shown = texts(opened(page, run="many"))
        assert f"**A sample**, drawn by chance: 20 of the {3 * N_IMAGES} images of food." in shown
        assert f"food {3 * N_IMAGES}" in shown
        assert "**A sample**" not in texts(opened(page))


def test_a_confusion_tile_filters_the_gallery_and_a_second_click_shows_all_again(run: Run) -> None:
    app = opened()
    app.button(key="tile_FN").click().run()
    assert query(app)["outcome"] == "FN"
    missed = int((run.scores("animals")["negrefine"] < _threshold(run)).sum())
    assert f"of **{missed}** images" in texts(app)
    app.button(key="tile_FN").click().run()
    assert "outcome" not in query(app)
    assert f"of **{2 * N_IMAGES}** images" in texts(app)


def _threshold(run: Run) -> float:
    return ood_metrics(run.scores("animals")["negrefine"], run.scores("food")["negrefine"]).threshold95


def test_the_threshold_moved_by_hand_is_in_the_url_and_leaves_with_its_score(run: Run) -> None:
    app = opened()
    assert not app.slider  # a rule sets it
    app.segmented_control(key="pick_rule").set_value("hand").run()
    app.slider(key="pick_threshold").set_value(1.5).run()
    assert float(query(app)["threshold"]) == pytest.approx(1.5, abs=0.01)
    assert app.session_state["pick_rule"] == "hand"
    app.selectbox(key="pick_score").select("csp").run()
    assert "threshold" not in query(app)
    assert query(app)["score"] == "csp"


def test_a_link_reopens_its_view(run: Run) -> None:
    app = opened(score="csp", threshold="youden", outcome="FP", sort="highest", low="1.0", high="2.0", show="pictures")
    assert not app.exception
    assert app.selectbox(key="pick_score").value == "csp"
    assert app.selectbox(key="pick_sort").value == "highest"
    assert "with scores from 1.000 to 2.000" in texts(app)


@pytest.mark.parametrize(
    "nonsense",
    [
        {"threshold": "nan"},
        {"threshold": "x"},
        {"low": "inf", "high": "a"},
        {"page": "-3"},
        {"page": "99999"},
        {"score": "nope", "sort": "nope", "outcome": "XX", "ood": "nope", "id": "nope", "show": "nope", "curve": "?"},
    ],
)
def test_a_url_of_nonsense_opens_the_defaults(run: Run, nonsense: dict[str, str]) -> None:
    app = opened(**nonsense)
    assert not app.exception
    assert not app.error
    if "threshold" in nonsense:
        assert f"The link’s threshold = “{nonsense['threshold']}” makes no sense here" in texts(app)


def test_a_run_outside_the_runs_folder_is_not_opened(run: Run, tmp_path: Path) -> None:
    write_run("elsewhere", tmp_path, tmp_path)
    app = opened(run=str(tmp_path / "elsewhere"))
    assert not app.exception
    assert "There is no run" in app.error[0].value


def test_without_a_run_the_page_says_how_to_make_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("negrefine_app.shared.frame.known_runs", list)
    app = opened()
    assert "no finished run" in app.info[0].value
    assert app.code[0].value == "negrefine run"


def test_the_metrics_table_follows_the_convention(run: Run) -> None:
    conventions = get_args(Convention)
    tables = [opened(show="metrics", convention=c).dataframe[0].value for c in conventions]
    inside, outside = run.scores("animals")["negrefine"], run.scores("food")["negrefine"]
    for table, convention in zip(tables, conventions, strict=True):
        expected = ood_metrics(inside, outside, convention)
        row = table[(table["Method"] == "NegRefine") & (table["OOD images"] == "food")].iloc[0]
        assert row["FPR@95"] == pytest.approx(100 * expected.fpr95)
        assert (row["AUPR-in"], row["AUPR-out"]) == pytest.approx((100 * expected.aupr_in, 100 * expected.aupr_out))
        low, high = (float(bound) for bound in row["FPR@95 95% interval"].split(" – "))
        assert low <= row["FPR@95"] <= high
    assert not (tables[1]["FPR@95 95% interval"] == tables[0]["FPR@95 95% interval"]).all()


def test_unreadable_images_are_listed_with_their_reason(run: Run) -> None:
    listed = opened(show="unreadable").dataframe[0].value
    assert listed.to_dict("records") == [{"Image set": "food", "File": "broken/x.png", "Reason": "not a picture"}]


def test_the_image_page_shows_the_parts_the_best_pair_and_the_verdict(run: Run) -> None:
    image = run.scores("animals").iloc[0]
    app = opened("image", image=f"animals/{image['path']}")
    assert not app.exception
    shown = texts(app)
    assert f"**{image['neglabel']:.3f}** NegLabel" in shown
    assert "cat and \\<b\\>pie" in shown  # a label's Markdown and HTML are shown, not obeyed
    assert "taken for" in shown


def test_next_walks_in_the_gallerys_order(run: Run) -> None:
    lowest_first = run.scores("animals").sort_values("negrefine", kind="stable")["path"].tolist()
    here = {"ood": "food", "outcome": "FN", "sort": "lowest", "image": f"animals/{lowest_first[0]}", "threshold": "1.9"}
    app = opened("image", **here)
    app.button(key="step1").click().run()
    assert query(app)["image"] == f"animals/{lowest_first[1]}"
    assert "2 of" in texts(app)


def test_a_path_that_leaves_its_folder_is_refused(run: Run) -> None:
    app = opened("image", image="food/../outside.png")
    assert not app.exception
    assert any("outside the image set" in warning.value for warning in app.warning)
    assert not app.get("imgs")


def test_an_unknown_image_gets_a_message(run: Run) -> None:
    app = opened("image", image="animals/nope.png")
    assert not app.exception
    assert "no scored image" in app.error[0].value


def test_a_view_survives_the_url() -> None:
    shared: dict[str, Any] = {
        "run": "r", "id": "i", "ood": ("a", "b"), "alone": "u", "score": "csp", "threshold": "1.25",
        "convention": "ood-positive", "outcome": "FP", "low": -1.5, "high": 2.0, "taken": "t",
        "shows": "s", "file": "f", "marked": "no", "words": "striped animal", "like": "b/c", "nearest": "12",
        "selection": "striped ones", "projection": "tsne", "sort": "nearest", "page": 3,
        "image": "a/b", "back": "compare",
    }  # fmt: skip
    views: tuple[View, ...] = (
        ExploreView(**shared, curve="pr", show="metrics", colour="score", pictured=True, against="others"),
        ImageView(**shared, off_ids=("salt, pepper",), off=("mud", "rust")),
        ReviewView(
            **shared, level="class", row=" ", crossed="won", queue="kept", order="impact", search="sage",
            id_class="safe", sample=("a, b", "c"), chosen="~1f", around="bear",
            label="common sage", blind=True,
        ),
        CompareView(
            **shared, compare="runs", first="mcm", second="csp", other="o", judge="x", other_judge="y", flip="broken",
            differ="labels", find="sage",
        ),
        ClassesView(**shared, begin="own", step="refine", first="model"),
        ScoreView(**shared, source="files", root="/data"),
        LearnView(**shared, lesson="harm"),
    )  # fmt: skip
    for view in views:
        assert len(view.query()) == len(fields(view)) - 1  # all but what other pages' links brought
        assert type(view).parse(view.query()) == view
        assert type(view)().query() == {}


def test_a_page_carries_what_was_chosen_on_the_others_and_lets_it_be_changed_by_a_link() -> None:
    arrived = ImageView.parse({"run": "r", "queue": "kept", "off": "mud\nrust", "sort": "nonsense"})
    assert arrived == ImageView("r", off=("mud", "rust"), carried={"queue": "kept"})
    assert arrived.query() == {"run": "r", "queue": "kept", "off": "mud\nrust"}
    assert arrived.query(off=(), queue="", label="sage") == {"run": "r", "label": "sage"}


@pytest.mark.parametrize(
    "query",
    [
        {"low": "nan"},
        {"high": "far"},
        {"page": "0"},
        {"page": "1" * 10},
        {"threshold": "inf"},
        {"outcome": "XY"},
        {"curve": "line"},
        {"ood": ","},
    ],
)
def test_what_makes_no_sense_in_a_url_is_left_at_its_default(query: dict[str, str]) -> None:
    assert ExploreView.parse(query) == ExploreView()


def test_curves_agree_with_the_metrics_and_a_naive_count() -> None:
    generator = np.random.default_rng(0)
    inside, outside = generator.integers(3, 9, 50), generator.integers(0, 7, 70)  # with ties
    table = pd.DataFrame({"s": [*inside, *outside], "is_id": [True] * 50 + [False] * 70})
    points = operating_point.curve_points(table, "s")
    for point in points.itertuples():
        assert point.tpr == pytest.approx((inside >= point.threshold).mean())
        assert point.fpr == pytest.approx((outside >= point.threshold).mean())
        accepted = table[table["s"] >= point.threshold]
        assert point.precision == pytest.approx(accepted["is_id"].mean())
    assert list(points["threshold"]) == sorted(set(table["s"]), reverse=True)
    expected = ood_metrics(inside, outside)
    assert charts.roc(table, "s").layout.title.text == f"AUROC {100 * expected.auroc:.1f}%"
    assert charts.precision_recall(table, "s").layout.title.text == f"AUPR-in {100 * expected.aupr_in:.1f}%"
    assert operating_point.threshold(table, "s", "tpr95") == expected.threshold95
    best = max(points.itertuples(), key=lambda p: p.tpr - p.fpr)
    assert operating_point.threshold(table, "s", "youden") == best.threshold


def test_the_csv_of_a_view_reads_as_pandas_writes_it() -> None:
    table = pd.DataFrame(
        {
            "path": [f'a,{i}"\nb.png' for i in range(200)],
            "class": pd.Series([None, "x"] * 100),
            "negrefine": np.random.default_rng(0).random(200).astype("float32"),
            "csp": np.array([np.nan, np.inf, 1e-30, 1e30] * 50, dtype="float32"),
            "predicted": pd.Categorical(["cat", ""] * 100),
            "is_id": [True, False] * 100,
        }
    )
    for some in (table, table.iloc[:0]):
        written = pd.read_csv(io.BytesIO(csv_of(some)))
        pd.testing.assert_frame_equal(written, pd.read_csv(io.StringIO(some.to_csv(index=False))))


def test_a_rule_applies_to_every_score_on_every_page_and_a_number_to_the_score_it_was_set_for(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [run.scores(name).assign(is_id=name == "animals") for name in ("animals", "food")]
    table = pd.concat(parts, ignore_index=True)
    youden, tpr95 = (
        {score: operating_point.threshold(table, score, rule) for score in ("csp", "negrefine")}
        for rule in operating_point.RULES[::-1]
    )
    assert youden["negrefine"] != tpr95["negrefine"], "or this tests nothing"
    view = View(score="csp", threshold="youden")
    assert ScoredImages.of(run, view).threshold == youden["csp"]
    sides = compared_sides.choose(run, CompareView(score="csp", threshold="youden", first="csp", second="negrefine"))
    assert sides.sets is not None
    joined = compared_sides.join(sides, sides.sets, CompareView(score="csp", threshold="youden"))
    assert joined.thresholds == (youden["csp"], youden["negrefine"])
    assert f"**{youden['csp']:.3f}** for CSP (Balanced (Youden))" in texts(
        opened("compare", score="csp", threshold="youden")
    )
    by_hand = compared_sides.join(sides, sides.sets, CompareView(score="csp", threshold="1.25"))
    assert by_hand.thresholds == (1.25, tpr95["negrefine"])
    assert threshold(View(score="csp", threshold="youden"), table, "negrefine") == youden["negrefine"]  # Image
    assert threshold(View(score="csp", threshold="1.25"), table, "negrefine") == tpr95["negrefine"]

    drawn: list[pd.DataFrame] = []
    monkeypatch.setattr(figures.st, "table", lambda table, **_: drawn.append(table))
    before = table["negrefine"].to_numpy()
    after = before + np.where(table["is_id"], 0, 0.2)
    figures.figures_table(view, table.assign(before=before, after=after), ("Now", "Then", "Change"))
    at = operating_point.threshold(table.assign(negrefine=after), "negrefine", "youden")
    gained = int(((before < youden["negrefine"]) & (after >= at) & ~table["is_id"]).sum())
    lost = int(((before >= youden["negrefine"]) & (after < at) & table["is_id"]).sum())
    said = drawn[0].loc["Images that flip", "Change"]
    assert ("OOD let in" in said) == (gained > 0)
    assert not gained or f"{gained} OOD let in" in said
    assert not lost or f"{lost} ID lost" in said


def test_every_score_is_on_offer_negrefine_first_and_one_that_a_run_lacks_is_left_out(run: Run) -> None:
    offered = opened().selectbox(key="pick_score")
    assert set(offered.options) == {score.name for score in METHODS}
    assert offered.options[0] == "NegRefine"
    table = run.scores("food")
    run.write_scores("food", run.image_root("food"), table.drop(columns="mcm"))
    try:
        assert "MCM" not in opened(ood="food", score="mcm").selectbox(key="pick_score").options
    finally:
        run.write_scores("food", run.image_root("food"), table)


def test_a_method_that_is_added_as_a_row_can_be_looked_at(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    new = Method("lowest", "Lowest", "lowest similarity", lambda images: images.pos_sim.amin(1), "none")
    monkeypatch.setattr(methods, "METHODS", (*METHODS, new))
    assert "Lowest" not in opened().selectbox(key="pick_score").options  # the run's scores are older
    tables = {name: run.scores(name) for name in run.scored_sets}
    try:
        for name, table in tables.items():
            run.write_scores(name, run.image_root(name), table.assign(lowest=table["mcm"]))
        assert opened(score="lowest").selectbox(key="pick_score").value == "lowest"
    finally:
        for name, table in tables.items():
            run.write_scores(name, run.image_root(name), table)


def test_image_sets_with_commas_in_their_names_are_kept_in_the_url() -> None:
    view = View(ood=("a, b", "50%2C", "c"))
    assert View.parse(view.query()) == view
    assert View(ood=("food", "other animals")).query() == {"ood": "food,other animals"}


def test_the_last_ood_set_stays_chosen(run: Run) -> None:
    app = opened(ood="food")
    app.button_group(key="pick_ood").set_value([]).run()
    assert app.button_group(key="pick_ood").value == ["food"]
    assert query(app)["ood"] == "food"


@pytest.mark.parametrize("page", ["explore", "image", "compare", "learn"])
def test_scores_of_other_negatives_are_called_so_where_they_are_shown(page: str, run: Run) -> None:
    def links() -> list[str]:
        return [link.proto.label for link in opened(page).get("page_link") if "Score again" in link.proto.label]

    assert links() == []
    info, scores = run.path("run.json").read_bytes(), run.path("scores/animals.parquet").read_bytes()
    former = ScoredWith(negatives=class_list_hash(["rust"]), overrides=0)
    run.write_scores("animals", run.image_root("animals"), run.scores("animals"), former)
    run.write_negatives([Negative("mud", "noun", 0.1)])
    try:
        assert links() == ["These scores are of the negatives of before. **Score again**"]
        run.path("verdicts.jsonl").write_text("{torn\n")
        assert links() == []
        assert not opened(page).error
    finally:
        run.path("negatives.csv").unlink()
        run.path("verdicts.jsonl").unlink(missing_ok=True)
        run.path("run.json").write_bytes(info)
        run.path("scores/animals.parquet").write_bytes(scores)


@pytest.fixture
def unsaid(run: Run) -> Iterator[Run]:
    """A refined copy of the run of which nobody has said what its image sets show."""
    copy = refined(Run.create("unsaid", Settings(), run.id_labels))
    for name in run.scored_sets:
        copy.write_scores(name, run.image_root(name), run.scores(name))
    yield copy
    shutil.rmtree(copy.folder)


def opened_alone(page: str = "explore", /, **query: str) -> AppTest:
    app = opened(page, **({"run": "unsaid", "alone": "food"} | query))
    assert not app.exception
    assert [error.value for error in app.error] == []
    return app


def test_a_set_of_which_nobody_knows_what_it_shows_is_ranked_without_any_figure(unsaid: Run) -> None:
    app = opened(run="unsaid")  # with only unknown sets, the first of them
    assert app.segmented_control[0].options == ["animals", "food"]
    assert app.segmented_control[0].value == "animals"
    values = unsaid.scores("animals")["negrefine"]
    inside = int((values >= values.median()).sum())
    assert (
        app.button(key="tile_IN").label == f"Looks like one of your classes  \n**{inside}** of 30 · {inside / 30:.1%}"
    )
    shown = texts(app)
    assert "the median of these pictures, only a start. Half of them lie on either side" in shown
    cards = [link.proto.label for link in app.get("page_link") if "** · " in link.proto.label]
    best = unsaid.scores("animals").sort_values("negrefine", ascending=False).iloc[0]
    assert f"**{best['negrefine']:.3f}** · looks like *cat*  \n“cat” 28.0 against" in cards[0]
    assert all("none of your classes" in card or "looks like" in card for card in cards)
    assert len(app.get("plotly_chart")) == 1  # no ROC
    for figure in ("AUROC", "ID kept", "OOD let in", "FPR"):
        assert figure not in shown + "".join(button.label for button in app.button)
    app.button(key="tile_OUT").click().run()
    assert f"of **{30 - inside}** images" in texts(app)
    assert query(app)["outcome"] == "OUT"


def test_a_threshold_is_carried_over_from_the_set_of_the_classes_and_can_be_set_by_hand(unsaid: Run) -> None:
    unsaid.set_role("animals", "ID")
    app = opened_alone()
    at = operating_point.threshold(unsaid.scores("animals").assign(is_id=True), "negrefine")
    kept = (unsaid.scores("animals")["negrefine"] >= at).mean()
    assert kept == pytest.approx(0.95, abs=0.02)
    assert f"Threshold **{at:.3f}**: carried over from “animals”: it keeps {kept:.1%} of those 30 ID images" in texts(
        app
    )
    assert app.segmented_control(key="pick_rule").options == ["95% of ID kept", "By hand"]
    app.segmented_control(key="pick_rule").set_value("hand").run()
    app.slider(key="pick_threshold").set_value(1.5).run()
    assert "set by hand" in texts(app)
    assert query(app)["alone"] == "food"
    inside = int((unsaid.scores("food")["negrefine"] >= float(query(app)["threshold"])).sum())
    assert f"**{inside}** of 30" in app.button(key="tile_IN").label


def test_known_and_unknown_sets_are_switched_between_and_what_a_set_shows_never_comes_from_the_url(
    unsaid: Run, run: Run
) -> None:
    for name, role in (("animals", "ID"), ("food", "OOD")):
        unsaid.set_role(name, role)  # type: ignore[arg-type]
    unsaid.write_scores("trip", run.image_root("food"), run.scores("food"))
    app = opened(run="unsaid", id="food", ood="trip")
    assert (app.selectbox(key="pick_id").value, app.button_group(key="pick_ood").value) == ("animals", ["food"])
    assert app.segmented_control(key="pick_alone").options == ["ID against OOD", "trip"]
    app.segmented_control(key="pick_alone").set_value("trip").run()
    assert query(app)["alone"] == "trip"
    at = operating_point.threshold(
        pd.concat([unsaid.scores(name).assign(is_id=name == "animals") for name in ("animals", "food")]), "negrefine"
    )
    assert f"Threshold **{at:.3f}**: carried over from “animals”" in texts(app)
    app.segmented_control(key="pick_alone").set_value("").run()
    assert app.button(key="tile_TP")


@pytest.mark.parametrize("page", ["image", "compare", "learn", "review", "score", "classes"])
def test_every_page_opens_on_a_run_with_only_unknown_sets(page: str, unsaid: Run) -> None:
    opened_alone(page)


def test_the_image_page_says_what_a_picture_of_an_unknown_set_is_taken_for_and_its_place_there(unsaid: Run) -> None:
    table = unsaid.scores("food").sort_values("negrefine", ascending=False)
    app = opened_alone("image", image=f"food/{table['path'].iloc[2]}")
    shown = texts(app)
    assert ": looks like *cat*" in app.subheader[0].value
    assert "It is most similar to “cat” 28.0 against “" in shown
    assert "Number **3** of the 30 pictures of “food”" in shown
    assert list(app.table[0].value.columns) == ["Value", "This set below"]
    assert "and it is" not in shown
    last = opened_alone("image", image=f"food/{table['path'].iloc[-1]}")
    assert ": none of your classes" in last.subheader[0].value


def test_lessons_say_that_they_need_an_id_and_an_ood_set_and_what_to_do(unsaid: Run) -> None:
    app = opened_alone("learn")
    assert (
        "no set of your classes and no set of something else. Nobody has said what these show: animals, food"
        in texts(app)
    )
    assert [link.proto.label for link in app.get("page_link")][-1] == "Say what your pictures show, or score more"


def test_another_run_is_picked_with_nothing_chosen(run: Run) -> None:
    app = opened(score="csp")
    app.selectbox(key="pick_run").select("demo").run()
    assert query(app) == {"run": "demo"}


def test_a_run_that_the_page_went_to_by_itself_keeps_the_pages_step_when_the_browser_reports_it(run: Run) -> None:
    app = opened("classes")
    app.query_params["run"], app.query_params["step"] = "demo", "changes"  # as the click on Re-mine writes them
    app.selectbox(key="pick_run").select("demo").run()
    assert query(app) == {"run": "demo", "step": "changes"}


def test_a_card_is_its_picture_without_the_icon_of_the_page_that_it_leads_to(run: Run) -> None:
    cards = [link.proto for link in opened().get("page_link") if link.proto.page == "image"]
    assert len(cards) == 24
    assert {card.icon for card in cards} == {""}
