"""The Review page: its queue, its card, what a person decides on it, and what that does, with the real model."""

import io
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import pandas as pd
import pytest
import torch
from negrefine_app.shared import features
from negrefine_app.shared.scored_images import ScoredImages
from negrefine_app.shared.view import View
from streamlit.testing.v1 import AppTest

from negrefine_core import overrides, paths, pipeline, selections
from negrefine_core.cache import CachedEncoder
from negrefine_core.comparison import metric_differences
from negrefine_core.effects import Effects
from negrefine_core.encoder import load_encoder
from negrefine_core.image_sets import ImageSet
from negrefine_core.judge import JudgeIdentity
from negrefine_core.metrics import ood_metrics
from negrefine_core.mining import Negative
from negrefine_core.run_files import batches
from negrefine_core.run_files.batches import SentBatch, write_batches
from negrefine_core.run_files.bundled import PUBLISHED_RUN
from negrefine_core.runs import Run, Settings
from negrefine_core.show.tables import points
from tests.support.app_driver import at, query, settled, texts
from tests.support.loopback_server import Action, LoopbackServer
from tests.support.runs import ANIMALS, NOUNS, REVIEWED_IDS, write_verdicts


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run without images."""
    run = Run.create("r" + re.sub(r"\W", "", tmp_path.name)[-40:], Settings(n_groups=2), REVIEWED_IDS)
    write_verdicts(run)
    return run


@pytest.fixture(scope="module")
def scored() -> Run:
    """A run of the bundled model with a few bundled pictures."""
    settings = Settings(n_groups=2, id_images="data/images/animals", ood_images={"food": "data/images/food"})
    run = Run.create("scored-review", settings, REVIEWED_IDS)
    encoder = CachedEncoder(load_encoder("demo", device="cpu"))
    run.update_info(model={"name": "demo", "fingerprint": encoder.fingerprint, "precision": encoder.precision})
    write_verdicts(run)
    sets = []
    for name, folders in (("animals", ANIMALS), ("food", ("avocado", "bagel", "bacon", "banana"))):
        root = paths.IMAGES / name
        files = sorted(f for folder in folders for f in (root / folder).glob("*.png"))
        sets.append(ImageSet(name, root, tuple(f.relative_to(root).as_posix() for f in files)))
    pipeline.score(run, encoder, sets)
    return run


def test_batches_that_lie_with_a_server_are_told_of_until_they_are_fetched(run: Run) -> None:
    sent = SentBatch("openai:gpt-4o-mini@https://api.openai.com/v1", "ab", 1200, "2026-11-28T10:00:00Z", "batch_1")
    write_batches(
        run.path(batches.FILE), [sent, replace(sent, id="batch_2"), replace(sent, id="old", ended="completed")]
    )
    told = texts(opened(run))
    assert "2 batches of 2,400 questions to gpt\\-4o\\-mini under way, the first sent on 2026-11-28." in told
    assert f"`negrefine judges batch --name {run.name}`" in told
    write_batches(run.path(batches.FILE), [replace(sent, ended="completed")])
    assert "under way" not in texts(opened(run))


def opened(run: Run, **query: str) -> AppTest:
    return settled(at("review", **({"run": run.name} | query)))


@pytest.fixture
def unsure(tmp_path: Path) -> Run:
    """A run whose judge gave its P(yes): it was sure of oslo and less so of the bear garden."""
    run = Run.create("u" + re.sub(r"\W", "", tmp_path.name)[-40:], Settings(n_groups=2), REVIEWED_IDS)
    write_verdicts(run)
    verdicts = run.verdicts
    run.path("verdicts.jsonl").unlink()
    p_yes = {"oslo": 0.99, "bear garden": 0.61, "granite": 0.45}
    with run.verdict_log() as log:
        for verdict in verdicts:
            p = p_yes.get(verdict.negative)
            log.append(replace(verdict, p_yes=p, p_yes_from=p and "first token"))
    return run


def test_the_judges_own_doubt_is_an_order_and_stands_beside_its_answer(run: Run, unsure: Run) -> None:
    app = opened(unsure, queue="all", order="unsure")
    assert card(app) == "granite"
    app = opened(unsure, order="unsure", label="bear garden")
    assert "the judge itself was not sure \\(P\\(yes\\) 61%\\)" in texts(app)
    assert "log-probabilities of the reply’s first token" in texts(app)
    (table,) = app.table
    assert table.value["P(yes)"].tolist() == ["61%"] * 3
    options = opened(run).selectbox(key="pick_order").options
    assert "Judge least sure" not in options


def press(app: AppTest, key: str) -> AppTest:
    return settled(app.button(key=f"review_{key}").click().run())


def card(app: AppTest) -> str:
    """The negative on the card."""
    return next(m.value.removeprefix("#### ") for m in app.markdown if m.value.startswith("#### "))


def decision(run: Run, label: str) -> str:
    table = overrides.review_table(run).set_index("label")
    return str(table.loc[label, "decision"])


def test_the_most_doubtful_rejection_comes_first_and_says_why(run: Run) -> None:
    app = opened(run)
    assert card(app) == "common sage"
    assert "'sage' is merely spelt like 'safe'" in texts(app)
    assert "of **4**" not in texts(app)
    assert "1 of 4" in texts(app)
    assert app.get("progress")[0].proto.text == "**0 of 4** reviewed"


def test_a_restored_label_is_a_negative_again_and_the_next_comes(run: Run) -> None:
    app = opened(run)
    app.text_input(key="who").set_value("ann").run()
    app.text_input(key="review_reason").set_value("a *herb*").run()
    app = press(app, "S")
    assert "common sage" in [negative.label for negative in run.negatives]
    (entry,) = run.overrides
    assert (entry.negative, entry.new, entry.reason, entry.who) == ("common sage", "kept", "a *herb*", "ann")
    assert card(app) == "oslo"  # the other judge disagrees
    assert query(app)["label"] == "oslo"
    assert app.text_input(key="review_reason").value == ""
    assert app.get("progress")[0].proto.text == "**1 of 4** reviewed"
    assert "a \\*herb\\*" in texts(opened(run, label="common sage"))


def test_agreeing_counts_as_reviewed_and_changes_no_negative(run: Run) -> None:
    before = run.path("negatives.csv").read_bytes()
    app = press(opened(run), "K")
    assert run.path("negatives.csv").read_bytes() == before
    assert app.get("progress")[0].proto.text == "**1 of 4** reviewed"
    assert card(opened(run)) == "oslo"  # a new visit goes on at the next one
    assert decision(run, "common sage") == "dropped"


def test_undo_takes_back_the_last_decision_and_goes_back_to_its_label(run: Run) -> None:
    app = press(press(opened(run), "S"), "K")
    app = press(app, "U")
    assert card(app) == "oslo"
    app = press(app, "U")
    assert card(app) == "common sage"
    assert decision(run, "common sage") == "dropped"
    assert app.button(key="review_U").disabled
    assert not overrides.review_table(run)["reviewed"].any()


def test_a_kept_label_can_be_dropped(run: Run) -> None:
    app = opened(run, queue="kept", label="velvet")
    assert card(app) == "velvet"
    assert not [button for button in app.button if button.key == "review_S"]
    press(app, "D")
    assert "velvet" not in [negative.label for negative in run.negatives]


def test_skip_and_next_decide_nothing(run: Run) -> None:
    app = press(opened(run), "J")
    assert card(app) == "oslo"
    assert card(press(app, "Left")) == "common sage"
    assert card(press(app, "Right")) == "oslo"
    assert run.overrides == []


@pytest.mark.parametrize(
    ("filters", "labels"),
    [
        ({"queue": "rejected", "order": "mined"}, ["common sage", "oslo", "bear garden", "cat"]),
        ({"queue": "rejected", "order": "alphabet"}, ["bear garden", "cat", "common sage", "oslo"]),
        ({"queue": "rejected", "order": "similarity"}, ["cat", "bear garden", "oslo", "common sage"]),
        ({"queue": "proper"}, ["oslo"]),
        ({"queue": "subcategory", "id_class": "bear"}, ["bear garden"]),
        ({"queue": "same"}, ["cat"]),
        ({"queue": "kept", "order": "alphabet"}, ["avocado", "bagel", "banana", "barn", "granite", "velvet"]),
        ({"queue": "all", "search": "BA", "order": "mined"}, ["banana", "bagel", "barn"]),
    ],
)
def test_queues_filters_and_orders(run: Run, filters: dict[str, str], labels: list[str]) -> None:
    app = opened(run, **filters)
    seen = [card(app)]
    while not app.button(key="review_Right").disabled:
        app = press(app, "Right")
        seen.append(card(app))
    assert seen == labels


def test_an_empty_queue_says_what_to_do(run: Run) -> None:
    assert "You have not overridden any verdict yet" in texts(opened(run, queue="overridden"))
    assert "Empty the search" in texts(opened(run, search="zebra"))


def test_the_unreviewed_queue_shrinks_until_all_is_done(run: Run) -> None:
    app = opened(run, queue="unreviewed")
    for done in range(len(NOUNS)):
        assert app.get("progress")[0].proto.text == f"**{done} of {len(NOUNS)}** reviewed"
        app = press(app, "K")
    app = opened(run, queue="unreviewed")
    assert "Every label is reviewed" in texts(app)


def test_a_url_of_nonsense_opens_the_next_to_review(run: Run) -> None:
    app = opened(run, queue="?", order="?", id_class="nope", label="<b>nope</b>", search="")
    assert "\\<b\\>nope" in texts(app)
    app = opened(run, queue="?", order="?", label="oslo")
    assert card(app) == "oslo"


def test_names_and_replies_are_shown_and_not_obeyed(run: Run) -> None:
    app = opened(run, label="velvet")
    assert "#### \\<b\\>\\*owl\\*\\</b\\>" in texts(app)
    replies = opened(run, label="oslo").table[0].value
    assert replies["Reply"].tolist() == ["Yes \\<script\\>"]
    assert replies["another judge"].tolist() == [":gray-badge[no]"]


def test_all_of_a_queue_is_decided_after_a_question_and_undone_at_once(run: Run) -> None:
    app = opened(run)
    app.button(key="bulk_open").click().run()
    assert "**4** labels: 4 dropped now, 0 kept" in texts(app)
    assert not [button for button in app.button if button.key == "bulk_do"]  # nothing is chosen beforehand
    app.session_state["bulk_action"] = "kept"
    app.button(key="bulk_open").click().run()
    assert run.overrides == []
    assert app.button(key="bulk_do").label == "Restore: 4 labels"
    app = settled(app.button(key="bulk_do").click().run())
    assert len(run.negatives) == len(NOUNS)
    press(app, "U")
    assert len(run.negatives) == len(NOUNS) - 4
    assert overrides.in_force(run.overrides) == {}


def test_dropping_every_negative_is_refused_with_a_message(run: Run) -> None:
    app = opened(run, queue="kept")
    app.session_state["bulk_action"] = "dropped"
    app.button(key="bulk_open").click().run()
    app.button(key="bulk_do").click().run()
    assert "keep at least one" in app.error[0].value
    assert run.overrides == []


def test_a_run_without_images_says_so_and_can_be_reviewed(run: Run) -> None:
    app = opened(run)
    assert "no scored images" in texts(app)


def test_the_effect_of_restoring_is_shown_with_the_images_it_attracts(scored: Run) -> None:
    app = opened(scored, label="common sage")
    (effect,) = (table.value for table in app.table if "AUROC" in table.value.index)
    assert list(effect.index) == ["AUROC", "FPR@95", "Threshold", "Images that flip"]
    assert "If you restore it" in texts(app)
    assert "If you drop it" in texts(opened(scored, label="banana"))


def test_each_change_of_a_figure_stands_with_the_interval_that_compare_would_give_it(scored: Run) -> None:
    from negrefine_app.review import effect as review_effect

    (shown,) = (table.value for table in opened(scored, label="common sage").table if "AUROC" in table.value.index)
    found = review_effect._computed(scored, Negative("common sage", "noun", 0.11), drop=False)
    is_id = np.repeat(
        [name == "animals" for name in scored.scored_sets], [scored.count_scored(name) for name in scored.scored_sets]
    )
    table = pd.DataFrame({"image_set": "all", "is_id": is_id, "before": found.before, "after": found.after})
    for name, difference in zip(("AUROC", "FPR@95"), metric_differences(table, "before", "after"), strict=True):
        said = shown.loc[name, "Change"]
        bounds = f"({points(difference.low, 2)} to {points(difference.high, 2)})"
        assert said == "none" if difference.first == difference.second else said.endswith(bounds)
        assert ("[" in said) == (
            difference.is_clear and round(100 * difference.second, 2) != round(100 * difference.first, 2)
        )


@pytest.fixture
def unsorted(scored: Run) -> Iterator[Run]:
    """The scored run, of which nobody has said what its pictures show."""
    for name in scored.scored_sets:
        scored.set_role(name, "unknown")
    yield scored
    scored.set_role("animals", "ID")
    scored.set_role("food", "OOD")


def test_what_a_label_attracts_and_moves_is_shown_of_sets_that_nobody_has_sorted(unsorted: Run) -> None:
    from negrefine_app.review import effect as review_effect

    found = review_effect._computed(unsorted, Negative("common sage", "noun", 0.11), drop=False)
    app = opened(unsorted, label="common sage")
    said, start = texts(app), 0
    for name in unsorted.scored_sets:
        rows = slice(start, start + unsorted.count_scored(name))
        start = rows.stop
        moves = (found.after - found.before)[rows][found.attracted[rows]]
        many = f"{len(moves)} image{'s' * (len(moves) != 1)}, mean {moves.mean():+z.3f}".replace("-", "−")
        assert (f"{name}, unknown: {many}" if len(moves) else f"None of {name}") in said
    assert len([link for link in app.get("page_link") if "→ **" in link.proto.label]) > 0
    assert "AUROC, FPR@95 and what turns right or wrong need a set of your classes (ID)" in said
    assert not [table for table in app.table if "AUROC" in table.value.index]


def test_by_class_counts_the_images_that_it_would_attract_where_there_is_nothing_to_compare(unsorted: Run) -> None:
    app = opened(unsorted)
    rows = by_class(app)
    assert list(rows.columns) == ["Rejected", "Images they would attract", "Doubtful", "Restored", "Reviewed"]
    effects = features.effects(unsorted, tuple(unsorted.scored_sets))
    (sage,) = (negative for negative in unsorted.reviewable if negative.label == "common sage")
    assert rows.loc["safe", "Images they would attract"] == int(effects.restore(sage).attracted.sum())
    assert "Images they would attract" in texts(app)
    app = settled(opened(unsorted, row="bear").button(key="row_restore").click().run())
    assert "Images that moved" in texts(app)
    settled(app.button(key="row_undo").click().run())


def test_the_effect_is_the_one_that_scoring_again_gives(scored: Run) -> None:
    from negrefine_app.review import effect as review_effect

    found = review_effect._computed(scored, Negative("common sage", "noun", 0.11), drop=False)
    stored = pd.concat([scored.scores(name) for name in scored.scored_sets])
    assert found.before == pytest.approx(stored["negrefine"].to_numpy(), abs=1e-5)
    kept = review_effect._computed(scored, Negative("banana", "noun", 0.14), drop=True)
    assert list(kept.attracted) == ["banana" in labels for labels in stored["negative_labels"]]


def test_the_overrides_together_are_measured_against_the_judge_alone(scored: Run) -> None:
    from negrefine_app.review import effect as review_effect

    assert "Your override" not in texts(opened(scored))
    overrides.override(scored, ["common sage", "oslo"], "kept", "ann")
    try:
        app = opened(scored, label="banana")
        assert "Your 2 overrides together" in texts(app)
        tables = [table.value for table in app.table if "AUROC" in table.value.index]
        assert list(tables[1].columns) == ["Judge", "With yours", "Change"]
        assert tables[1].loc["AUROC", "With yours"] == tables[0].loc["AUROC", "Now"]
        stored = pd.concat([scored.scores(name) for name in scored.scored_sets])["negrefine"]  # of the judge's verdicts
        found = review_effect._computed(scored, Negative("banana", "noun", 0.14), drop=True)
        assert found.judged == pytest.approx(stored.to_numpy(), abs=1e-5)
    finally:
        overrides.undo(scored, "ann", 2)


def test_images_flip_at_each_ones_own_threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    """The 95% threshold may be an OOD image's own score: when both move, FPR@95 is as before, and so is the image."""
    from negrefine_app.review import figures as review_figures

    shown: list[pd.DataFrame] = []
    monkeypatch.setattr(review_figures.st, "table", lambda table, **_: shown.append(table))
    scores = np.append(np.linspace(1, 2, 20), [1.01, 0.5])
    found = pd.DataFrame({"before": scores, "after": scores - [*[0] * 20, 1e-4, 0], "is_id": [True] * 20 + [False] * 2})
    review_figures.figures_table(View(), found, ("Now", "Then", "Change"))
    assert shown[0]["Change"].tolist() == ["none", "none", "", "none"]


def test_the_impact_order_puts_what_attracts_most_images_first(scored: Run) -> None:
    app = opened(scored, queue="kept", order="impact")
    tops = [label for name in scored.scored_sets for top in scored.scores(name)["negative_labels"] for label in top]
    kept = [label for label in NOUNS if label not in ("oslo", "common sage", "bear garden", "cat")]
    assert tops.count(card(app)) == max(tops.count(label) for label in kept)


def test_after_an_override_the_scores_are_called_old_until_they_are_made_again(scored: Run) -> None:
    assert "stored scores" not in texts(opened(scored))
    overrides.override(scored, ["oslo"], "kept", "ann")
    assert "of the negatives before your change" in texts(opened(scored))
    overrides.undo(scored, "ann")
    assert "stored scores" not in texts(opened(scored))


def test_a_csv_of_decisions_is_imported_and_a_wrong_one_explained(run: Run) -> None:
    good = io.BytesIO(b"negative,decision\noslo,kept\nparis,kept\n")
    added, unknown = overrides.import_csv(run, good, "ann", "o.csv")
    assert [entry.negative for entry in added] == ["oslo"]
    assert unknown == ["paris"]
    for broken in (b"\xff\xfe\x00\x01", b"", b"a,b\n1,2\n", b"negative,decision\noslo,kept\noslo,dropped\n",
                   b"negative,decision\n\"oslo", b"negative,decision\noslo,=cmd()\n"):  # fmt: skip
        app = opened(run)
        app.get("file_uploader")[0].upload("decisions.csv", broken, "text/csv").run()
        app.button(key="import_do").click().run()
        assert "decisions.csv" in app.error[0].value.replace("\\", ""), broken
        assert not app.exception
    assert len(run.overrides) == 1


@pytest.mark.slow
def test_the_published_decisions_open_on_a_real_error_of_a_language_model() -> None:
    app = at("review", run=PUBLISHED_RUN)
    assert not app.exception
    assert "ImageNet-1K by Qwen2.5-14B" in app.selectbox(key="pick_run").options
    assert "2,055" in app.get("progress")[0].proto.text
    assert "merely spelt like" in app.warning[0].value
    assert "has no scored images" in texts(app)


@pytest.mark.parametrize("page", ["explore", "image"])
def test_a_run_without_pictures_leads_to_where_they_are_scored_and_to_its_decisions(page: str) -> None:
    app = at(page, run=PUBLISHED_RUN)
    assert not app.exception
    assert not app.error
    assert "no scored pictures yet" in app.info[0].value
    links = {link.proto.label: (link.proto.page, link.proto.query_string) for link in app.get("page_link")}
    assert links["Score pictures"] == ("score", f"run={PUBLISHED_RUN}")
    assert links["Review its decisions"] == ("review", f"run={PUBLISHED_RUN}")
    assert r"judge Qwen2\.5\-14B \(published\)" in app.caption[-1].value


# --- why --------------------------------------------------------------------------------------------------------------

SAID = "<img src=x onerror=alert(1)> **Sage** is a [herb](javascript:alert(1)).\n" + "It keeps no money. " * 550


@pytest.fixture
def answering(tmp_path: Path) -> Iterator[tuple[Run, LoopbackServer]]:
    """A run whose judge is a language model behind a server that gives long reasons full of markup."""
    run = Run.create("w" + re.sub(r"\W", "", tmp_path.name)[-40:], Settings(n_groups=2), REVIEWED_IDS)
    write_verdicts(run)
    with LoopbackServer(lambda _: Action(SAID)) as server:
        judge = str(JudgeIdentity.openai("m", server.url))
        verdicts = run.verdicts
        run.path("verdicts.jsonl").unlink()
        with run.verdict_log() as log:
            for verdict in verdicts:
                log.append(replace(verdict, judge=judge) if verdict.judge == "llm" else verdict)
        run.note_judge(judge)
        yield run, server


def ask_why_button(app: AppTest) -> Any:
    return next(button for button in app.button if button.label == "Ask m why")


def test_why_is_asked_only_on_a_click_and_shown_as_plain_text(answering: tuple[Run, LoopbackServer]) -> None:
    run, server = answering
    app = opened(run, label="common sage")
    assert not server.asked
    assert server.url.replace("http://", "") in ask_why_button(app).help.replace("\\", "")
    app = settled(ask_why_button(app).click().run())
    assert len(server.asked) == 1
    (reason,) = run.reasons
    assert (reason.negative, reason.id_label, reason.text) == ("common sage", "safe", SAID)
    shown = [text.value for text in app.text]
    assert [text.rstrip("… ") for text in shown] == [SAID.strip()[:600].rstrip(), SAID.strip()]
    assert not any("onerror" in element.value for element in (*app.markdown, *app.caption))
    assert f"All {len(SAID.strip()):,} characters" in [expander.label for expander in app.expander]
    assert not any("Ask m why" in button.label for button in app.button)
    app = opened(run, label="common sage")
    assert len(server.asked) == 1  # it is kept
    assert "Why m said yes" in texts(app)


def test_a_server_that_a_run_names_gets_no_key_of_mine(
    answering: tuple[Run, LoopbackServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, server = answering
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-1234567890")
    app = opened(run, label="common sage")
    settled(ask_why_button(app).click().run())
    assert len(run.reasons) == 1
    assert not any("sk-secret" in head for head in server.headers)
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)  # it is mine
    app = opened(run, label="oslo")
    settled(ask_why_button(app).click().run())
    assert len(run.reasons) == 2
    assert any("sk-secret" in head for head in server.headers)


def test_a_server_that_is_gone_is_said_on_the_card_and_can_be_asked_again(
    answering: tuple[Run, LoopbackServer],
) -> None:
    run, server = answering
    server.stop()
    app = opened(run, label="common sage")
    app = settled(ask_why_button(app).click().run())
    assert "cannot reach" in app.error[0].value
    assert run.reasons == []
    assert ask_why_button(settled(app.run()))


def by_class(app: AppTest) -> pd.DataFrame:
    """The table of the classes, by class."""
    (table,) = app.dataframe
    shown: pd.DataFrame = table.value.set_index("ID class")
    return shown


def test_by_class_says_what_all_rejections_of_each_did_and_shows_the_pictures_that_flip(scored: Run) -> None:
    app = opened(scored)
    assert app.segmented_control(key="pick_level").value == "class"
    rows = by_class(app)
    rejected = scored.rejections
    assert dict(rows["Rejected"]) == {"safe": 1, "bear": 1, "cat": 1, "Proper nouns": 1}
    groups = {"Proper nouns": {n for n, v in rejected.items() if v.kind == "proper noun"}}
    groups |= {name: {n for n, v in rejected.items() if v.id_label == name} for name in ("safe", "bear", "cat")}
    pictures = [features.image_features(scored, name) for name in scored.scored_sets]
    effects = Effects(features.detector(scored), torch.cat([each.features for each in pictures]))
    found = effects.restore_all({k: [n for n in scored.reviewable if n.label in v] for k, v in groups.items()})
    is_id = np.repeat([each.image_set == "animals" for each in pictures], [len(each.paths) for each in pictures])
    for name, effect in found.items():
        now, then = (ood_metrics(s[is_id].numpy(), s[~is_id].numpy()) for s in (effect.before, effect.after))
        assert rows.loc[name, "Δ AUROC, points"] == pytest.approx(100 * (then.auroc - now.auroc), abs=0.011)
        assert rows.loc[name, "Δ FPR@95, points"] == pytest.approx(100 * (then.fpr95 - now.fpr95), abs=0.011)
    assert rows["Δ AUROC, points"].abs().is_monotonic_decreasing
    flips = int(rows["Images that flip"].iloc[0])
    assert (f"**{flips} image" if flips else "**No image**") in texts(app)
    assert "all sets pooled" in texts(app)
    assert queue_of(opened(scored, row=" "))["queue"] == "proper"
    assert card(settled(at("review", **queue_of(opened(scored, row="bear"))))) == "bear garden"


def queue_of(app: AppTest) -> dict[str, str]:
    """Where the link to the labels of the row that is looked at leads."""
    (link,) = (link for link in app.get("page_link") if link.proto.label.startswith("Open its queue"))
    return dict(parse_qsl(link.proto.query_string))


def test_by_class_is_measured_anew_when_a_person_says_otherwise_what_a_set_shows(
    scored: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from negrefine_app.review import classes

    inside: list[set[str]] = []
    measured = classes._measured

    def spy(run: Run, view: Any, images: ScoredImages, sets: Any) -> pd.DataFrame:
        inside.append(set(images.table.loc[images.table["is_id"], "image_set"]))
        return measured(run, view, images, sets)

    opened(scored)
    monkeypatch.setattr(classes, "_measured", spy)
    scored.set_role("animals", "OOD")
    scored.set_role("food", "ID")
    try:
        opened(scored)
    finally:
        scored.set_role("animals", "ID")
        scored.set_role("food", "OOD")
    assert inside == [{"food"}]


def test_a_whole_class_is_restored_after_a_question_and_taken_back_at_once(scored: Run) -> None:
    before = [negative.label for negative in scored.negatives]
    app = opened(scored, row="bear")
    assert app.selectbox(key="pick_row").value == "bear"
    app = settled(app.button(key="row_restore").click().run())
    assert "bear garden" in [negative.label for negative in scored.negatives]
    assert by_class(app).loc["bear", ["Restored", "Δ AUROC, points", "Images that flip"]].tolist() == [1, 0, 0]
    assert "All 1 restored" in texts(app)
    assert "What restoring 1 label did" in texts(app)
    assert list(app.table[0].value.columns) == ["Before", "After", "Change"]
    assert not [button for button in app.button if button.key == "row_restore"]
    assert query(app)["row"] == "bear"  # whatever the table's order is now
    elsewhere = opened(scored, row="safe")
    assert not [button for button in elsewhere.button if button.key == "row_undo"]
    undo = app.button(key="row_undo")
    assert undo.label == "Undo: “bear garden” restored"
    app = settled(undo.click().run())
    assert [negative.label for negative in scored.negatives] == before
    assert by_class(app).loc["bear", "Restored"] == 0
    assert query(app)["row"] == "bear"
    assert settled(opened(scored, row=" ")).selectbox(key="pick_row").value == " "  # the proper nouns
    overrides.override(scored, ["bear garden"], "kept", "ben")
    app = app.button(key="row_restore").click().run()
    assert "meanwhile ben decided that 'bear garden' is kept" in texts(app)
    overrides.undo(scored, "ben")
    assert [negative.label for negative in scored.negatives] == before


def test_by_class_of_a_run_without_images_counts_and_says_why_that_is_all(run: Run) -> None:
    assert card(opened(run)) == "common sage"
    app = opened(run, level="class")
    assert "no scored images, so there are counts alone" in texts(app)
    assert list(by_class(app).columns) == ["Rejected", "Doubtful", "Restored", "Reviewed"]
    assert by_class(app)["Rejected"].sum() == 4


def test_what_lies_around_a_class_is_the_queue_on_the_map_and_label_by_label(run: Run) -> None:
    app = opened(run, level="map", queue="all", around="safe")
    assert "**1 label** of this queue around *safe*" in texts(app)
    app.selectbox(key="pick_around").set_value("").run()
    assert "chosen on the map" not in texts(settled(app))
    chosen = selections.of_labels(["common sage", "velvet"])
    selections.keep(run, chosen)
    app = opened(run, level="label", queue="all", chosen=chosen.name)
    assert "**2 labels** of this queue chosen on the map" in texts(app)
    assert "1 of 2" in texts(app)
    app = opened(run, level="map", queue="all", chosen="~0123456789abcdef")
    assert "not kept on this computer" in app.warning[0].value
    assert not app.exception
