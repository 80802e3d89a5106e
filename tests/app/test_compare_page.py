"""The Compare page without a browser: methods, runs and judges side by side on small runs."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from negrefine_app.compare.judges import judged_scores
from negrefine_app.shared import features
from streamlit.testing.v1 import AppTest
from torch import Tensor
from torch.nn import functional

from negrefine_core import overrides, paths, pipeline
from negrefine_core.benchmarks.experiments import experiment
from negrefine_core.comparison import judged_diff
from negrefine_core.judges.decided import Decided, decided_in
from negrefine_core.judges.wordnet import WordNetJudge
from negrefine_core.metrics import fpr_at_recall, ood_metrics
from negrefine_core.negfilter import NegFilter
from negrefine_core.records import Negative
from negrefine_core.runs import Run, Settings
from tests.support.app_driver import at, query, settled, texts
from tests.support.runs import answered_whole, drawn_scores, refined, write_run
from tests.support.words import Words


@pytest.fixture(scope="module", autouse=True)
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    """Two runs of the same pictures, the second with better scores on its last 29 of 30 food images."""
    pictures = tmp_path_factory.mktemp("compared")
    first = refined(write_run("one", paths.RUNS, pictures))
    second = refined(write_run("two", paths.RUNS, pictures))
    table = first.scores("food").assign(negrefine=lambda t: t["negrefine"] - 0.5)
    second.write_scores("food", pictures / "food", table.iloc[1:])
    return first, second


def compared(**wanted: str) -> AppTest:
    return settled(at("compare", **{"run": "one"} | wanted))


def flipped(run: Run, first: str, second: str) -> dict[str, int]:
    """The flip counts image by image, each score at its own threshold."""
    counts = dict.fromkeys(("fixed", "broken", "wrong", "right"), 0)
    threshold = {}
    for column in (first, second):
        inside, outside = (run.scores(name)[column].to_numpy() for name in ("animals", "food"))
        threshold[column] = fpr_at_recall(inside, outside)[1]
    for name in ("animals", "food"):
        for _, image in run.scores(name).iterrows():
            before, after = ((image[column] >= threshold[column]) == (name == "animals") for column in (first, second))
            counts[("right" if after else "broken") if before else ("fixed" if after else "wrong")] += 1
    return counts


def test_the_tiles_count_the_flips_and_open_their_galleries(runs: tuple[Run, Run]) -> None:
    app = compared(first="mcm", second="csp")
    assert not app.exception
    counts = flipped(runs[0], "mcm", "csp")
    assert len([count for count in counts.values() if count]) == 4, "each kind should be there, or this tests little"
    for code, count in counts.items():
        assert f"**{count}**" in app.button(key=f"flip_{code}").label
    app.button(key="flip_broken").click().run()
    assert query(app)["flip"] == "broken"
    assert f"of **{counts['broken']}** images" in texts(app)


def test_the_metrics_say_what_is_beyond_chance_and_what_is_not(runs: tuple[Run, Run]) -> None:
    assert "no difference beyond chance" in texts(compared(first="csp", second="csp"))
    app = compared(compare="runs", other="two", first="negrefine", second="negrefine")
    assert "NegRefine \\(one\\) is worse" in texts(app)
    headline, flipped = (element.value for element in app.markdown[:2])
    assert re.match(r"#### NegRefine \\\(two\\\) against NegRefine \\\(one\\\): \*\*AUROC .* → .*\*\*, −", headline)
    tiles = [app.button(key=f"flip_{code}").label.split("**")[1] for code in ("fixed", "broken")]
    assert re.findall(r"\*\*(\d+)\*\*", flipped) == tiles
    table = app.dataframe[0].value
    row = table[table["Metric"] == "AUROC"].iloc[0]
    assert row["Beyond chance"] == "worse"
    difference = row["NegRefine (one)"] - row["NegRefine (two)"]
    assert row["Difference"] == f"{difference:+.2f}".replace("-", "−")


def test_two_runs_are_compared_by_one_score_from_the_run_that_this_one_was_made_from(runs: tuple[Run, Run]) -> None:
    run = runs[0].copy("three")
    run.update_info(edited_from="two")
    app = compared(run="three", compare="runs")
    assert app.selectbox(key="pick_other").value == "two"
    assert [app.selectbox(key=f"pick_{side}").value for side in ("first", "second")] == ["negrefine", "negrefine"]
    assert "NegRefine \\(three\\) is worse" in texts(app)
    app.selectbox(key="pick_second").set_value("mcm").run()
    assert app.selectbox(key="pick_first").value == "mcm"


def test_scores_that_nobody_knows_become_csp_and_negrefine(runs: tuple[Run, Run]) -> None:
    app = compared(first="blah", second="blah")
    assert [app.selectbox(key=f"pick_{side}").value for side in ("first", "second")] == ["csp", "negrefine"]


def test_two_runs_are_compared_on_the_images_that_both_have_scored(runs: tuple[Run, Run]) -> None:
    app = compared(compare="runs", other="two")
    assert "1 images that only one run has scored are left out" in texts(app)
    tiles = [app.button(key=f"flip_{code}").label for code in ("fixed", "broken", "wrong", "right")]
    assert sum(int(label.split("**")[1]) for label in tiles) == 59


def test_the_labels_that_differ_name_their_verdict_and_link_to_its_review(runs: tuple[Run, Run]) -> None:
    app = compared(differ="labels")
    table = app.dataframe[1].value.set_index("Negative")
    assert table.loc["paris", ["Change", "Why"]].tolist() == ["removed", "proper noun"]
    assert table.loc["<b>poodle</b>", "Why"] == "cleaned"
    assert "label=paris" in table.loc["paris", "Review"]
    assert table.loc["paris", "Review"].startswith("review?run=one")
    searched = compared(differ="labels", find="PAR").dataframe[1].value
    assert searched["Negative"].tolist() == ["paris"]
    assert "Empty the search" in texts(compared(differ="labels", find="nowhere"))


def test_before_the_overrides_is_offered_once_there_are_some_and_asks_to_score_again(
    runs: tuple[Run, Run], tmp_path: Path
) -> None:
    run = refined(write_run("overridden", paths.RUNS, tmp_path))
    for name in ("animals", "food"):
        run.write_scores(name, tmp_path / name, run.scores(name).drop(columns="negrefine_judged"))
    assert "NegRefine before overrides" not in at("compare", run="overridden").selectbox(key="pick_first").options
    overrides.override(run, ["paris"], overrides.KEPT, "me")
    app = at("compare", run="overridden", first="negrefine_judged")
    assert not app.exception
    assert "Score the images again" in texts(app)
    assert app.dataframe[0].value["Negative"].tolist() == ["paris"]
    for name in ("animals", "food"):
        table = run.scores(name)
        run.write_scores(name, tmp_path / name, table.assign(negrefine_judged=table["negrefine"]))
    app = at("compare", run="overridden", first="negrefine_judged")
    assert [app.button(key=f"flip_{code}").label.split("**")[1] for code in ("fixed", "broken")] == ["0", "0"]


def test_two_judges_agree_where_they_do_and_their_disagreements_are_listed(runs: tuple[Run, Run]) -> None:
    app = compared(compare="judges", judge="wordnet", other_judge="second")
    assert not app.exception
    shown = texts(app)
    assert "**2** questions · agreement **100.0%** · kappa **1.00**" in shown
    assert "**1** questions · agreement **0.0%** · kappa **none**" in shown
    table = app.dataframe[0].value
    assert table[["Negative", "ID class", "wordnet", "second"]].to_numpy().tolist() == [
        ["bpoodleb", "*dog*", "Yes", "No"]
    ]
    assert "second has not decided on 4 of this run’s 5 negatives" in shown


def test_the_negatives_that_only_one_of_two_judges_keeps_name_the_others_verdict(runs: tuple[Run, Run]) -> None:
    run = Run.create("two-judges", Settings(), ["cat", "*dog*"])
    run.write_initial_negatives([Negative(x, "noun", 0.1) for x in ("paris", "<b>poodle</b>", "rust", "mud")])
    answered_whole(run, "llm", {"paris": None, "bpoodleb": "*dog*"})
    answered_whole(run, "second", {"paris": None, "rust": "cat"})
    run.update_info(judge="llm")
    run.write_negatives(overrides.final_negatives(run))
    app = compared(run="two-judges", compare="judges", other_judge="second")
    assert "From llm to second: **1** removed (1 subcategory), **1** added (1 subcategory)." in texts(app)
    table = app.dataframe[0].value.set_index("Negative")
    assert table.loc["rust", ["Change", "Why", "ID class"]].tolist() == ["removed", "subcategory", "cat"]
    assert table.loc["bpoodleb", ["Change", "Why", "ID class"]].tolist() == ["added", "subcategory", "*dog*"]
    assert table.loc["rust", "Review"].startswith("review?run=two-judges")
    answers = compared(run="two-judges", compare="judges", other_judge="second", differ="answers")
    assert sorted(answers.dataframe[0].value["Negative"]) == ["bpoodleb", "rust"]


@pytest.fixture
def pictured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Run, Tensor]]:
    """A run judged by "llm", whose pictures look like ID classes or negatives to a made-up model; their features."""
    words = ["poodle", "terrier", "oslo", "paris", "rust", "mud", "sky", "granite", "velvet", "lamp", "soap", "rope"]
    run = Run.create("pictured", Settings(), ["cat", "dog", "fox", "owl", "bee"])
    run.update_info(model={"name": "words", "fingerprint": "words", "precision": "float32"})
    run.write_initial_negatives([Negative(word, "noun", 0.1) for word in words])
    answered_whole(run, "llm", {"oslo": None, "rust": "cat", "lamp": "dog"})
    run.update_info(judge="llm")
    run.write_negatives(overrides.final_negatives(run))
    shown = {"animals": run.id_labels, "food": words}
    pictures = {}
    for name, labels in shown.items():
        files = [f"{i}.png" for i in range(30)]
        run.write_scores(name, tmp_path / name, drawn_scores(files, 1.5, 0))
        run.set_role(name, "ID" if name == "animals" else "OOD")
        near = Words().encode_texts([labels[i % len(labels)] for i in range(30)])
        found = functional.normalize(near + Words().encode_texts([f"{name} {i}" for i in range(30)]), dim=1)
        pictures[name] = features.ImageFeatures(name, tuple(files), np.arange(30), 30, found)
    monkeypatch.setattr(features, "encoder", lambda run: Words())
    monkeypatch.setattr(features, "image_features", lambda run, name: pictures[name])
    yield run, torch.cat([pictures[name].features for name in shown])
    shutil.rmtree(run.folder)


def test_two_judges_scores_are_those_of_a_detector_with_what_each_keeps(
    pictured: tuple[Run, Tensor],
) -> None:
    run, images = pictured
    asked = NegFilter(WordNetJudge(), Words()).run(run.initial_negatives, run.id_labels)
    assert {verdict.negative for verdict in asked.rejected} == {"poodle", "terrier", "oslo"}
    decided = decided_in(run, "llm", run), Decided({verdict.negative: verdict for verdict in asked.rejected})
    for kept, found in zip((run.negatives, asked.kept), judged_scores(run, decided), strict=True):
        plain = pipeline.detector(run, Words(), kept).score_features(images)["negrefine"]  # type: ignore[arg-type]
        assert np.concatenate([found["animals"], found["food"]]) == pytest.approx(plain.to_numpy(), abs=5e-6)
    for name in ("animals", "food"):
        known = {column: each[name] for column, each in zip(("mcm", "csp"), judged_scores(run, decided), strict=True)}
        run.write_scores(name, run.image_root(name), run.scores(name).assign(**known))
    app = compared(run="pictured", compare="judges", judge="llm", other_judge="wordnet")
    assert not app.error
    counts = flipped(run, "mcm", "csp")
    assert counts["fixed"] + counts["broken"] > 0, "or this tests little"
    for code, count in counts.items():
        assert f"**{count}**" in app.button(key=f"flip_{code}").label
    auroc = [ood_metrics(run.scores("animals")[c], run.scores("food")[c]).auroc for c in ("mcm", "csp")]
    row = app.dataframe[0].value.set_index("Metric").loc["AUROC"]
    assert row[["llm", "wordnet"]].tolist() == pytest.approx([100 * each for each in auroc])
    changes = judged_diff(run, *decided).set_index("label")["change"].to_dict()
    assert changes == {"poodle": "removed", "terrier": "removed", "rust": "added", "lamp": "added"}


def test_a_run_without_images_still_compares_its_labels_and_shows_its_published_figures(tmp_path: Path) -> None:
    run = refined(Run.create("published", Settings(model="paper"), ["cat", "*dog*"]))
    sets = {"inaturalist": 0.99, "open_image": 0.95, "texture": 0.94, "clean": 0.91, "ninco": 0.83}
    results = {name: {"auroc": auroc, "fpr95": 1 - auroc} for name, auroc in sets.items()}
    published = {"source": "result.txt", "seed": 0, "arch": "ViT-B/16", "seconds": {"Filtering": 8368.32}}
    run.update_info(published=published | {"id_set": "imagenet", "results": results})
    app = at("compare", run="published", convention="ood-positive")
    assert not app.exception
    assert "no scored images" in texts(app)
    ours, paper, labels = (table.value for table in app.dataframe)
    names = ["inaturalist", "openimage-o", "clean", "ninco", "average of these 4", "textures"]
    assert ours["OOD images"].tolist() == names
    assert ours.iloc[4, 1:].tolist() == pytest.approx([92, 8])
    assert paper.set_index("Method").loc["NegRefine"].tolist() == [91.79, 30.12]
    assert paper.set_index("Method").loc["Filter only"].tolist() == [90.95, 31.88]
    assert texts(app).count("in percent, ID is the positive class") == 2  # whatever is chosen for what is measured
    assert "**textures** holds images of ImageNet classes" in texts(app)
    assert "Filtering: 2 h 19 min" in texts(app)
    assert "paris" in labels["Negative"].tolist()
    run.update_info(published=published | {"id_set": "cub", "results": results})
    app = at("compare", run="published")
    assert "What the paper reports" not in texts(app)
    assert len(app.dataframe[0].value) == len(sets)


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Two seeds of the ImageNet experiment with drawn scores."""
    pictures, runs, entry = tmp_path_factory.mktemp("benchmark"), [], experiment("imagenet")
    for seed in (0, 1):
        run = refined(Run.create(f"bench-seed{seed}", Settings(seed=seed), ["cat", "*dog*"]))
        for number, name in enumerate(entry.image_sets):
            table = drawn_scores([f"{i}.png" for i in range(20)], 1.9 if name == entry.id else 1.4, 10 * seed + number)
            run.write_scores(name, pictures / name, table)
        for name in entry.image_sets:
            run.set_role(name, "ID" if name == entry.id else "OOD")
        run.update_info(experiment="imagenet", seconds={"mining": 2.0 + seed})
        pipeline.evaluate(run, entry.id, entry.image_sets[1:], n_bootstrap=5)
        runs.append(run)
    return runs


@pytest.mark.slow
def test_a_benchmarks_run_shows_its_table_over_the_seeds_beside_the_paper(benchmark: list[Run]) -> None:
    entry, convention = experiment("imagenet"), "id-positive"
    app = settled(at("compare", run="bench-seed1"))
    table = app.dataframe[0].value.set_index(["OOD images", "Method"])
    for name in ("sun", "ninco"):
        measured = [
            100 * ood_metrics(run.scores(entry.id)["csp"], run.scores(name)["csp"], convention).fpr95
            for run in benchmark
        ]
        row = table.loc[(name, "CSP")]
        assert (row["FPR@95"], row["FPR@95 ±"]) == pytest.approx((np.mean(measured), np.std(measured, ddof=1)))
    assert list(table.index[0]) == ["average", "MCM"]
    assert table.loc[("average", "NegRefine"), ["Paper: AUROC", "Paper: FPR@95"]].tolist() == [91.79, 30.12]
    shown = texts(app)
    assert "ID is the positive class of FPR@95, as in the paper. Mean over 2 seeds (0, 1)" in shown
    assert shown.count("**sun, places and textures** hold images of ImageNet classes") == 2  # there and below
    assert "mining 2.5 (paper: 82)" in shown
    other = settled(at("compare", run="bench-seed1", convention="ood-positive"))
    assert "Paper: FPR@95" not in other.dataframe[0].value
    assert "OOD is the positive class of FPR@95, the paper’s is ID and so left out" in texts(other)
    assert "hold images of ImageNet classes" in texts(at("explore", run="bench-seed1", show="metrics"))


@pytest.fixture
def unsorted(runs: tuple[Run, Run]) -> Iterator[tuple[Run, Run]]:
    """Copies of both runs of which nobody has said what their sets show."""
    made = []
    for run in runs:
        copy = refined(Run.create(f"unsorted-{run.name}", Settings(), run.id_labels))
        for name in run.scored_sets:
            copy.write_scores(name, run.image_root(name), run.scores(name))
        made.append(copy)
    yield made[0], made[1]
    for copy in made:
        shutil.rmtree(copy.folder)


def test_two_methods_on_an_unknown_set_differ_in_order_and_over_the_threshold_without_a_figure(
    unsorted: tuple[Run, Run],
) -> None:
    app = compared(run="unsorted-one", alone="food", first="csp", second="negrefine")
    assert not app.exception
    assert not app.error
    table = unsorted[0].scores("food")
    before, after = (table[column] >= table[column].median() for column in ("csp", "negrefine"))
    counts = {"gained": ~before & after, "lost": before & ~after, "in": before & after, "out": ~before & ~after}
    assert all(which.any() for which in counts.values()), "or this tests little"
    for code, which in counts.items():
        assert f"**{which.sum()}** of 30" in app.button(key=f"flip_{code}").label
    assert len(app.get("plotly_chart")) == 1
    assert not app.dataframe
    shown = texts(app)
    assert not [word for word in ("AUROC", "FPR", "better", "worse") if word in shown.replace("which is better", "")]
    app.button(key="flip_lost").click().run()
    ranks = table[["csp", "negrefine"]].rank(ascending=False).astype(int)[counts["lost"]]
    most = ranks.loc[(ranks["csp"] - ranks["negrefine"]).abs().idxmax()]
    first = next(link.proto.label for link in app.get("page_link") if link.proto.page == "image")
    assert f"place {most['csp']} → **{most['negrefine']}**" in first


def test_two_runs_on_an_unknown_set_carry_each_its_own_threshold_over(unsorted: tuple[Run, Run]) -> None:
    unsorted[1].set_role("animals", "ID")
    app = compared(run="unsorted-two", compare="runs", other="unsorted-one", alone="food")
    assert not app.error
    assert app.segmented_control(key="pick_alone").options == ["animals", "food"]
    shown = texts(app)
    assert "carried over from “animals”" in shown
    assert "the median of these pictures" in shown
    assert "“animals” is unknown in unsorted\\-one and ID in unsorted\\-two: no figure takes it in." in shown


def test_runs_with_other_roles_or_other_classes_are_not_measured_as_one_task(unsorted: tuple[Run, Run]) -> None:
    for run in unsorted:
        run.set_role("animals", "ID")
        run.set_role("food", "OOD")
    other = Run.create("other-task", Settings(), ["cat", "*dog*", "lamp"])
    for name in ("animals", "food"):
        other.write_scores(name, unsorted[0].image_root(name), unsorted[0].scores(name))
    other = refined(other)
    other.set_role("food", "ID")
    try:
        app = compared(run="unsorted-one", compare="runs", other="other-task")
        shown = texts(app)
        assert "“food” is ID in other\\-task and OOD in unsorted\\-one: no figure takes it in." in shown
        assert "no scored ID and OOD" not in shown
        other.set_role("food", "OOD")
        other.set_role("animals", "ID")
        app = compared(run="unsorted-one", compare="runs", other="other-task")
        shown = texts(app)
        assert "**Two tasks**" in shown
        assert "only in other\\-task: lamp; only in unsorted\\-one: fox, owl, bee" in shown
        assert not [word for word in ("is better**", "is worse**", "no difference beyond") if word in shown]
        columns = list(app.dataframe[0].value.columns)
        assert columns == ["OOD images", "Metric", "NegRefine (other-task)", "NegRefine (unsorted-one)"]
    finally:
        shutil.rmtree(other.folder)


def test_a_benchmark_that_is_not_finished_names_its_command(benchmark: list[Run]) -> None:
    refined(Run.create("begun-seed0", Settings(), ["cat"])).update_info(experiment="food-101")
    app = at("compare", run="begun-seed0")
    assert "No seed of this experiment is scored whole yet" in texts(app)
    assert app.code[0].value == "negrefine benchmark food-101"


def test_runs_without_a_set_in_common_say_so(runs: tuple[Run, Run], tmp_path: Path) -> None:
    Run.create("empty", Settings(), ["cat"]).write_initial_negatives([Negative("rust", "noun", 0.1)])
    Run.open("empty").write_negatives([Negative("rust", "noun", 0.1)])
    app = at("compare", run="one", compare="runs", other="empty")
    assert not app.exception
    assert "no scored image set of the same name" in texts(app)


@pytest.mark.parametrize(
    "nonsense",
    [
        {"first": "x", "second": "y"},
        {"compare": "z", "flip": "z", "differ": "z"},
        {"compare": "runs", "other": "../one"},
        {"compare": "judges", "judge": "nobody"},
    ],
)
def test_a_url_of_nonsense_compares_the_defaults(runs: tuple[Run, Run], nonsense: dict[str, str]) -> None:
    app = compared(**nonsense)
    assert not app.exception
    assert not app.error
