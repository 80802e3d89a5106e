"""The Judges page: from too few decided labels over trials and their disagreements to the judge that is used."""

from collections.abc import Iterator
from urllib.parse import parse_qsl

import pytest
from streamlit.testing.v1 import AppTest

from negrefine_core import jobs, overrides, pipeline
from negrefine_core.cache import CachedEncoder
from negrefine_core.encoder import OpenClipEncoder
from negrefine_core.judges.wordnet import WordNetJudge
from negrefine_core.mining import Negative
from negrefine_core.runs import Run, Settings
from tests.support.app_driver import at, settled, texts
from tests.support.jobs import until
from tests.support.loopback_server import Action, LoopbackServer

IDS = ["cat", "dog"]
REJECTED = ["oslo", "poodle", "beagle"]
KEPT = ["rust", "mud", "sky", "granite", "velvet", "banana", "bagel", "barn", "avocado", "comb", "lamp", "soap"]
KEPT += ["rope", "fork", "spoon", "knife", "shelf", "curtain", "carpet", "berlin", "<b>brick</b>"]
BRICK = "bbrickb"  # as it is cleaned

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_jobs_left")]


@pytest.fixture
def run(tiny_model: str, encoder: OpenClipEncoder) -> Run:
    """Refined by WordNet; nobody has decided anything."""
    run = Run.create("to-try", Settings(model=tiny_model, n_groups=1), IDS)
    run.write_initial_negatives(Negative(word, "noun", 0.1) for word in [*REJECTED, *KEPT])
    pipeline.refine(run, CachedEncoder(encoder), WordNetJudge())
    return run


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    """A judge that takes all for common, but oslo and a poodle."""
    with LoopbackServer(lambda prompt: Action("Yes" if "'oslo' a prop" in prompt else "No")) as server:
        yield server


def page(**query: str) -> AppTest:
    return settled(at("judges", run="to-try", **query))


def tables(app: AppTest) -> list[list[dict[str, object]]]:
    return [frame.value.to_dict("records") for frame in app.dataframe]


def test_judges_are_tried_on_what_people_decided_and_the_best_is_used(run: Run, server: LoopbackServer) -> None:
    app = page()
    assert "**0 of 20 labels are decided.**" in texts(app)
    assert not app.dataframe
    links = {link.proto.label: dict(parse_qsl(link.proto.query_string)) for link in app.get("page_link")}
    sample = links["Decide these 20 labels"]["sample"].split("\n")
    assert {*REJECTED} <= {*sample} <= {*REJECTED, *KEPT, BRICK}
    review = settled(at("review", **links["Decide these 20 labels"]))
    assert "**A sample of 20 labels**" in texts(review)

    overrides.confirm(run, [*KEPT[:-1], BRICK], "ann")  # all alike
    app = page()
    ((first,), *_) = tables(app)
    assert (first["Judge"], first["Labels"], first["Kappa"], first["Recall"]) == ("wordnet", "21", "–", "–")
    assert "No kappa: people kept every label" in texts(app)
    assert "wordnet kept all 21 labels\\. How judges decide on what it rejected is not seen here" in texts(app)
    assert app.button(key="try_judge").disabled
    assert "has answered all about these 21 labels" in texts(app)

    overrides.confirm(run, REJECTED, "ann")
    overrides.override(run, ["poodle", "beagle"], "kept", "ann")
    app = page()
    app = settled(app.segmented_control(key="judge_kind").set_value("openai").run())
    app.text_input(key="judge_url").set_value(server.url).run()
    app = settled(app.text_input(key="judge_model").set_value("m").run())
    assert "**What leaves this machine**" in texts(app)
    app.button(key="try_judge").click().run()
    until(lambda: not any(job.is_alive for job in jobs.all_jobs()))
    assert jobs.all_jobs()[0].state == "done", jobs.all_jobs()[0].error
    asked = len(server.asked)
    assert asked == 1 + 3 * (len(KEPT) + 2)

    app = page()
    best, other = tables(app)[0]
    assert (best["Judge"], best["Agreement"], best["Kappa"]) == ("m", "100.0%", "1.00")
    assert (other["Judge"], other["Labels"], best["Questions"]) == ("wordnet", "24", asked)
    assert "It decides as people did on each of the 24 labels" in texts(app)
    app = page(tried="wordnet")
    otherwise = tables(app)[1]
    assert [row["Negative"] for row in otherwise] == ["poodle", "beagle"]
    assert {row["People"] for row in otherwise} == {"kept"}
    assert "label=poodle" in str(otherwise[0]["Review"])
    assert run.judge == "wordnet"

    app = page()
    app.button(key="refine").click().run()
    until(lambda: not any(job.is_alive for job in jobs.all_jobs()))
    assert run.judge == f"openai:m@{server.url}"
    assert len(server.asked) == asked  # nothing was asked twice
    assert "It refined this run: review what it decided" in [link.proto.label for link in page().get("page_link")]
