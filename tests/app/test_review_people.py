"""Two people on the Review page: each reviews blind, what they agree on is merged, what they do not is settled."""

import re
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from negrefine_core import reviews
from negrefine_core.runs import Run, Settings
from tests.support.app_driver import at, query, settled, texts
from tests.support.runs import REVIEWED_IDS, write_verdicts

ADA, BEN = "Ada <b>L</b>", "Бен"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run.create("p" + re.sub(r"\W", "", tmp_path.name)[-40:], Settings(n_groups=2), REVIEWED_IDS)
    write_verdicts(run)
    return run


def opened(run: Run, who: str, **query: str) -> AppTest:
    app = settled(at("review", **({"run": run.name} | query)))
    app.text_input(key="who").set_value(who).run()
    return settled(app)


def press(app: AppTest, key: str, reason: str = "") -> AppTest:
    if reason:
        app.text_input(key="review_reason").set_value(reason).run()
    return settled(app.button(key=f"review_{key}").click().run())


def card(app: AppTest) -> str:
    return next(m.value.removeprefix("#### ") for m in app.markdown if m.value.startswith("#### "))


def own(run: Run, who: str) -> list[str]:
    return [entry.decision for entry in reviews.decided_by(run, who).values()]


def test_two_people_review_blind_merge_what_they_agree_on_and_settle_the_rest(run: Run) -> None:
    app = settled(opened(run, ADA).toggle(key="pick_blind").set_value(True).run())
    first = card(app)
    assert "what others decided and what a decision does are not shown" in texts(app)
    assert not [button for button in app.button if button.key in ("bulk_open", "people_merge")]
    app = press(app, "S", "my own word")
    app = press(app, "K")
    app = press(app, "K")
    assert own(run, ADA) == ["kept", "dropped", "dropped"]
    app = press(app, "U")
    assert own(run, ADA) == ["kept", "dropped"]
    assert run.overrides == []
    assert "**2 of 4** reviewed by you" in app.get("progress")[0].proto.text

    other = opened(run, BEN, blind="on")
    assert card(other) == first  # the same order, and nothing of Ada's
    assert "my own word" not in texts(other)
    assert "**0 of 4** reviewed by you" in other.get("progress")[0].proto.text
    other = press(press(other, "K", "no herb"), "K")
    stale = opened(run, BEN, blind="on")
    press(other, "U")
    stale = press(stale, "U")
    assert "in another window you took back" in texts(stale)
    stale = press(stale, "K")
    assert own(run, BEN) == ["dropped", "dropped"]

    app = settled(stale.toggle(key="pick_blind").set_value(False).run())
    said = texts(app).replace("\\", "")
    assert f"Reviewed blind: **{ADA}** 2 labels, **{BEN}** 2 labels" in said
    assert "both decided on **2** labels: **1** alike" in said
    assert f"No kappa: {BEN} dropped every label" in said
    app = settled(app.button(key="people_merge").click().run())
    assert [(entry.who, entry.new) for entry in run.overrides] == [(f"{ADA}, {BEN}", "dropped")]
    assert "Nothing more to merge" in texts(app)
    assert f"Merged: 0 kept, 1 dropped. Written into the run, signed {ADA}, {BEN}." in texts(app).replace("\\", "")
    assert query(app)["level"] == "label"
    assert next(each for each in app.expander if each.label == "Two people").proto.expanded
    assert "one of the two" in texts(opened(run, BEN, label=first))

    app = opened(run, "Cy", label=first)
    said = texts(app).replace("\\", "")
    assert f"**{ADA}** says kept: “my own word”" in said
    assert f"**{BEN}** says dropped: “no herb”" in said
    assert "one of the two" not in said
    app = press(app, "K", "it is none")  # what is decided already, and so settled
    assert f"is dropped, and settled (said: {ADA} kept, {BEN} dropped)" in texts(app).replace("\\", "")
    said = texts(opened(run, "Cy", label=first)).replace("\\", "")
    assert f"disagreed. Cy settled it: **dropped**.\n**{ADA}** said kept: “my own word”" in said
    assert [(e.who, e.new, e.reason) for e in run.overrides][1:] == [("Cy", "dropped", "it is none")]
    reviews.decide(run, "Dee", {"oslo": ("kept", ""), first: ("kept", "")})  # a third person has their say
    app = opened(run, "Cy", label=first)
    assert f"**{ADA}**, **{BEN}** and **Dee** disagree (1 of 2)" in texts(app).replace("\\", "")
    pair = app.selectbox(key="people_pair")
    assert pair.options == [f"{ADA} and {BEN}", f"{ADA} and Dee", f"{BEN} and Dee"]
    app = settled(pair.select_index(2).run())
    assert f"{BEN} and Dee both decided on **2** labels: **0** alike" in texts(app).replace("\\", "")
    app = press(press(app, "S"), "S")  # one is settled, and the other is next
    assert "No disagreement is open" in texts(app)
    assert reviews.disagreements(run) == {}


def test_whoever_writes_their_name_goes_on_at_their_own_first_label(run: Run) -> None:
    app = settled(at("review", run=run.name, blind="on"))
    assert app.text_input(key="who").value == ""
    assert "write your name in the sidebar first" in texts(app)
    app = settled(app.text_input(key="who").set_value("Ada").run())
    first = card(app)
    app = press(app, "K")
    assert card(app) != first
    app = settled(app.text_input(key="who").set_value("Ben").run())
    assert card(app) == first
