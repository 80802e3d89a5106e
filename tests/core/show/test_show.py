"""Galleries, tables and cards of a notebook: pictures inside, names as text, whatever they hold."""

from pathlib import Path

import pandas as pd
import plotly.io as pio
import pytest

from negrefine_core.comparison import Difference
from negrefine_core.detector import NegRefineDetector
from negrefine_core.encoder import OpenClipEncoder
from negrefine_core.errors import NegRefineError
from negrefine_core.mining import mine_negatives
from negrefine_core.pictures import locate
from negrefine_core.runs import Run, Settings
from negrefine_core.show import charts
from negrefine_core.show import tables as show
from tests.support.pictures import picture, write_pictures

HOSTILE = "<script>alert('x')</script>"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run.create("mine", Settings(), ["cat", "dog"], tmp_path)
    for name, first in (("in", 0), ("out", 10)):
        root = write_pictures(tmp_path / name, 2, first)
        table = pd.DataFrame({"path": ["000.png", "001.png"], "class": [HOSTILE, None], "negrefine": [2.0, 1.0]})
        run.write_scores(name, root, table)
    run.set_role("in", "ID")
    run.set_role("out", "OOD")
    return run


def test_a_runs_table_knows_which_pictures_are_id_and_where_they_lie(run: Run) -> None:
    table = show.scored(run)
    assert list(table["is_id"]) == [True, True, False, False]
    assert all(Path(file).is_file() for file in table["file"])


def test_a_path_that_leaves_the_folder_is_not_shown(run: Run, tmp_path: Path) -> None:
    picture(1).save(tmp_path / "secret.png")
    table = pd.DataFrame({"path": ["../secret.png"], "class": [None], "negrefine": [1.0]})
    run.write_scores("out", tmp_path / "out", table)
    assert list(show.scored(run)["file"])[2:] == [""]
    with pytest.raises(NegRefineError, match="outside the image set's folder"):
        locate(run, "out", "../secret.png")


def test_a_run_without_scores_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NegRefineError, match="do the step 'score' first"):
        show.scored(Run.create("empty", Settings(), ["cat"], tmp_path))


def test_names_are_text_and_pictures_stand_in_the_page(run: Run) -> None:
    table = show.scored(run)
    for shown in (show.gallery(table, "negrefine", title=HOSTILE), show.table(table[["class", "file"]], HOSTILE)):
        assert "<script" not in shown._repr_html_()
        assert "&lt;script&gt;" in shown._repr_html_()
        assert shown._repr_html_().count('src="data:image/webp;base64,') == 4


def test_a_gallery_says_how_many_more_there_are_and_keeps_the_place_of_a_lost_picture(run: Run) -> None:
    table = show.scored(run)
    table.loc[0, "file"] = ""
    shown = show.gallery(table, limit=2)
    assert "(no picture)" in shown.html
    assert shown.html.count("<img") == 1
    assert "and 2 more" in shown.html


def test_a_detectors_card_has_its_classes_its_negatives_by_kind_and_its_notes(encoder: OpenClipEncoder) -> None:
    card = show.detector_card(NegRefineDetector(encoder, [HOSTILE], ["sushi", "car"], ["red place"])).html
    assert "<script" not in card
    for part in (
        "2 negative nouns",
        "sushi, car",
        "1 negative adjectives",
        "red place",
        "over 1 group ",
        "1 ID label:",
    ):
        assert part in card


def test_one_text_instead_of_a_list_of_classes_is_a_message(encoder: OpenClipEncoder, tmp_path: Path) -> None:
    with pytest.raises(NegRefineError, match=r"as a list, such as \['cat'\]"):
        NegRefineDetector(encoder, "cat", ["sushi"])
    with pytest.raises(NegRefineError, match="as a list"):
        Run.create("letters", Settings(), "cat", tmp_path)


def test_nouns_alone_can_be_mined_for_neglabel(encoder: OpenClipEncoder) -> None:
    from negrefine_core.lexicon import Candidates
    from negrefine_core.mining import mine_neglabel_negatives

    words = Candidates(("sushi", "car"), (), ())
    assert len(mine_negatives(encoder, ["cat"], words, 1.0)) == len(
        mine_neglabel_negatives(encoder, ["cat"], words, 1.0)
    )


def test_a_copy_changes_without_its_original_and_is_opened_again(run: Run) -> None:
    copy = run.copy("other")
    copy.set_role("out", "ID")
    assert run.id_sets == ["in"]
    assert run.copy("other").id_sets == ["in", "out"]
    with pytest.raises(NegRefineError, match="cannot name a run"):
        run.copy("../other")


def test_changes_are_drawn_in_points_with_their_intervals() -> None:
    found = [("<b>", Difference("food", "auroc", 0.8, 0.9, 0.05, 0.12)), ("x", Difference("food", "fpr95", 1, 1, 0, 0))]
    (dots,) = charts.changes(found).data
    assert list(dots.x) == pytest.approx([10])
    assert list(dots.error_x.array) == pytest.approx([2])
    assert list(dots.error_x.arrayminus) == pytest.approx([5])
    assert list(dots.y) == ["&lt;b>"]


def test_the_mining_chart_counts_every_word_once() -> None:
    mined, left = charts.mined([0.1, 0.2, 0.3, 0.9], fraction=0.5).data
    assert (sum(mined.y), sum(left.y)) == (2, 2)


def test_a_difference_that_rounds_to_nothing_is_not_negative() -> None:
    assert [show.points(difference) for difference in (-0.0001, 0.0, -0.012)] == ["+0.0", "+0.0", "−1.2"]


def test_low_bars_are_drawn_some_times_as_tall_and_their_axis_says_so() -> None:
    spread = [i / 20 for i in range(20)]  # a share of 5% each
    table = pd.DataFrame({"score": [*[1.0] * 9, 0.0, *spread], "is_id": [True] * 10 + [False] * 20})
    layout = charts.histogram(table, "score").layout
    assert layout.yaxis.title.text == "% of ID"
    assert layout.yaxis2.title.text == "% of OOD<br>10 × as tall"
    assert layout.yaxis2.range[1] * 10 == pytest.approx(layout.yaxis.range[1])
    assert layout.yaxis.range[1] > 90

    both = charts.histograms_compared(table.assign(other=1.0), ("score", "other"), ("A", "B"), (0.5, 0.5)).layout
    assert both.yaxis.range == both.yaxis2.range  # every score of B lies in one bin, ID and OOD alike
    assert (both.yaxis.title.text, both.yaxis2.title.text) == ("% of ID", "% of OOD")


def test_a_notebooks_charts_are_white_and_in_the_apps_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pio.templates, "default", "plotly")  # the app sets another
    table = pd.DataFrame({"score": [1.0, 0.0], "is_id": [True, False]})
    template = charts.histogram(table, "score").layout.template.layout
    assert template.plot_bgcolor == "white"
    assert template.colorway[:2] == (charts.ID_COLOUR, charts.OOD_COLOUR)
