"""The same run open twice: what one tab decided is not repeated, reverted or taken back by the other unseen."""

import re
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from negrefine_core import overrides
from negrefine_core.runs import Run, Settings
from tests.support.app_driver import at, query, settled, texts
from tests.support.runs import REVIEWED_IDS, write_verdicts


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run.create("t" + re.sub(r"\W", "", tmp_path.name)[-40:], Settings(n_groups=2), REVIEWED_IDS)
    write_verdicts(run)
    return run


def opened(run: Run, who: str, **query: str) -> AppTest:
    app = settled(at("review", **({"run": run.name} | query)))
    app.text_input(key="who").set_value(who).run()
    return settled(app)


def press(app: AppTest, key: str) -> AppTest:
    return settled(app.button(key=f"review_{key}").click().run())


def said(app: AppTest) -> str:
    """The warning of the last click, as it reads."""
    return app.warning[0].value.replace("\\", "")


def log(run: Run) -> list[tuple[str, str, str, str]]:
    return [(entry.who, entry.negative, entry.old, entry.new) for entry in run.overrides]


@pytest.mark.parametrize("key", ["K", "S"])
def test_a_decision_on_what_another_tab_restored_is_not_written_and_its_author_is_named(run: Run, key: str) -> None:
    first, second = opened(run, "ann"), opened(run, "bob")
    press(first, "S")
    second = press(second, key)
    assert log(run) == [("ann", "common sage", "dropped", "kept")]
    assert "nothing is written: meanwhile ann decided that 'common sage' is kept" in said(second)
    assert "Decided by ann" in texts(second)
    assert query(second)["label"] == "common sage"
    assert "Keep it in" in [button.label for button in second.button]  # it is seen as it is now
    press(second, "D")
    assert log(run)[1:] == [("bob", "common sage", "kept", "dropped")]


def test_a_label_that_another_tab_agreed_with_is_not_restored_unseen(run: Run) -> None:
    first, second = opened(run, "ann"), opened(run, "bob")
    press(first, "K")
    second = press(second, "S")
    assert log(run) == [("ann", "common sage", "dropped", "dropped")]
    assert "Decided by ann" in texts(second)


def test_decisions_of_another_tab_on_other_labels_are_no_hindrance(run: Run) -> None:
    first, second = opened(run, "ann"), opened(run, "bob", label="oslo")
    press(first, "S")
    press(second, "S")
    assert [line[:2] for line in log(run)] == [("ann", "common sage"), ("bob", "oslo")]


def test_what_was_decided_and_taken_back_meanwhile_is_as_it_was_seen(run: Run) -> None:
    first, second = opened(run, "ann"), opened(run, "bob")
    press(press(first, "S"), "U")
    press(second, "S")
    assert log(run)[2:] == [("bob", "common sage", "dropped", "kept")]


def test_undo_takes_back_nothing_that_its_tab_did_not_show(run: Run) -> None:
    first, second = opened(run, "ann"), opened(run, "bob", label="oslo")
    second = press(second, "S")
    press(first, "S")
    second = press(second, "U")
    assert len(run.overrides) == 2
    assert "nothing is taken back: meanwhile ann decided that 'common sage' is kept" in said(second)
    assert "ann’s, on “common sage”" in second.button(key="review_U").help
    press(second, "U")  # now it is seen
    assert overrides.in_force(run.overrides).keys() == {"oslo"}


def test_two_undos_of_the_same_decision_take_back_one(run: Run) -> None:
    first, second = opened(run, "ann"), opened(run, "bob", label="oslo")
    first = press(press(first, "S"), "S")
    second = settled(second.run())
    press(first, "U")
    second = press(second, "U")
    assert "ann took back the decision on 'oslo'" in said(second)
    assert overrides.in_force(run.overrides).keys() == {"common sage"}


def asked_to_restore_all(run: Run, who: str) -> AppTest:
    app = opened(run, who)
    app.session_state["bulk_action"] = "kept"
    return app.button(key="bulk_open").click().run()


def test_a_queue_that_another_tab_decided_on_is_not_decided_as_it_was_counted(run: Run) -> None:
    first, second = opened(run, "ann", label="oslo"), asked_to_restore_all(run, "bob")
    press(first, "K")
    second = settled(second.button(key="bulk_do").click().run())
    assert log(run) == [("ann", "oslo", "dropped", "dropped")]
    assert "(1 of these 4 labels are decided anew)" in said(second)


def test_the_undo_of_a_whole_queue_is_refused_where_another_tab_decided_after_it(run: Run) -> None:
    first, second = opened(run, "ann", label="velvet", queue="kept"), asked_to_restore_all(run, "bob")
    second = settled(second.button(key="bulk_do").click().run())
    assert "the 4 decisions" in second.button(key="review_U").help
    press(first, "D")
    second = press(second, "U")
    assert len(run.overrides) == 5
    assert "ann decided that 'velvet' is dropped" in said(second)


def test_agreeing_again_with_what_is_reviewed_writes_nothing_and_says_so(run: Run) -> None:
    app = press(opened(run, "ann"), "K")
    app = press(press(app, "Left"), "K")
    assert len(run.overrides) == 1
    assert "nothing new is written" in app.toast[0].value


def test_a_verdict_that_changed_since_the_card_was_drawn_is_not_decided_on(run: Run) -> None:
    app = opened(run, "ann")
    run.note_judge("another judge")
    app = press(app, "K")
    assert run.overrides == []
    assert "the judge was asked anew, and 'common sage' is now kept" in said(app)


def test_a_key_that_is_pressed_twice_before_the_next_card_is_there_decides_once_and_goes_on(run: Run) -> None:
    app = opened(run, "ann")
    overrides.confirm(run, ["common sage"], "ann")
    app.session_state["review_own"] = {(run.name, 0)}  # as the first press leaves it, ended by the second
    app = press(app, "K")
    assert len(run.overrides) == 1
    assert not app.warning or "nothing is written" not in said(app)
    assert query(app)["label"] == "oslo"
    assert "a key was pressed twice" in app.toast[0].value
