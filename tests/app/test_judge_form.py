"""The judge's form: the words in which a language model is asked, looked at, changed and kept; and a panel."""

from collections.abc import Iterator

import pytest
from streamlit.testing.v1 import AppTest

from negrefine_core import jobs, overrides, pipeline
from negrefine_core.cache import CachedEncoder
from negrefine_core.encoder import OpenClipEncoder
from negrefine_core.judge import JudgeIdentity
from negrefine_core.judges.prompt_book import PromptBook
from negrefine_core.judges.wordnet import WordNetJudge
from negrefine_core.mining import Negative
from negrefine_core.prompts import PAPER
from negrefine_core.runs import Run, Settings
from tests.support.app_driver import at, settled, texts
from tests.support.jobs import until
from tests.support.loopback_server import Action, LoopbackServer

IDS = ["dog", "cat"]
WORDS = ["poodle", "oslo", "rust", "granite"]


@pytest.fixture
def run(tiny_model: str, encoder: OpenClipEncoder, request: pytest.FixtureRequest) -> Run:
    """Refined by WordNet: oslo is a name, and a poodle a dog."""
    run = Run.create(f"form-{abs(hash(request.node.name)) % 10**8}", Settings(model=tiny_model, n_groups=1), IDS)
    run.write_initial_negatives(Negative(word, "noun", 0.1) for word in WORDS)
    pipeline.refine(run, CachedEncoder(encoder), WordNetJudge())
    return run


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer(lambda prompt: Action("Yes" if "'oslo' a proper" in prompt else "No")) as server:
        yield server


def form(run: Run, kind: str) -> AppTest:
    app = settled(at("classes", run=run.name, step="refine"))
    return settled(app.segmented_control(key="judge_kind").set_value(kind).run())


def at_server(app: AppTest, server: LoopbackServer) -> AppTest:
    app.text_input(key="judge_url").set_value(server.url).run()
    return settled(app.text_input(key="judge_model").set_value("m").run())


def started(app: AppTest) -> None:
    app.button(key="refine").click().run()
    until(lambda: not any(job.is_alive for job in jobs.all_jobs()))


def sent(app: AppTest) -> list[str]:
    return [code.value for code in app.code]


def test_what_is_sent_is_seen_for_a_pair_in_each_set_of_words(run: Run, server: LoopbackServer) -> None:
    app = at_server(form(run, "openai"), server)
    assert "user: Is 'poodle' a subcatgeory of 'dog'?" in sent(app)[1]
    app = settled(app.selectbox(key="judge_prompts").select("glossed").run())
    assert "'dog' means: a member of the genus Canis" in sent(app)[1]
    app = settled(app.selectbox(key=f"judge_prompt_class_{run.name}").select("cat").run())
    assert "'cat' means: feline mammal" in sent(app)[1]
    assert "with their definitions" in texts(app)
    assert not server.asked


@pytest.mark.slow
def test_changed_words_are_previewed_and_asked_in_only_once_they_are_kept(run: Run, server: LoopbackServer) -> None:
    app = at_server(form(run, "openai"), server)
    app = settled(app.text_area(key="judge_prompt_subcategory").set_value("Is {negative} some {id_label}?").run())
    assert sent(app)[1].endswith("user: Is poodle some dog?")
    assert "**What would be sent** once they are kept" in texts(app)
    assert "nothing is asked in them yet. Keep them under a name of your own" in texts(app)
    assert not [button for button in app.button if button.key == "refine"]
    app = settled(app.text_area(key="judge_prompt_subcategory").set_value("Is it some {id_label}?").run())
    assert "the text lacks {negative}" in app.error[0].value.replace("\\", "")
    assert "Mend what is said above, or put back those of “paper”" in texts(app)
    app = settled(app.button(key="put_back").click().run())
    assert app.text_area(key="judge_prompt_subcategory").value == PAPER.subcategory
    assert "**What is sent**, for this pair" in texts(app)
    app.text_area(key="judge_prompt_subcategory").set_value("Is {negative} some {id_label}?").run()
    app = settled(app.text_input(key="judge_prompt_name").set_value("mine").run())
    app = settled(app.button(key="keep_prompts").click().run())
    assert app.selectbox(key="judge_prompts").value == "mine"
    assert PromptBook.of(run).named("mine").subcategory == "Is {negative} some {id_label}?"
    started(app)
    assert "Is granite some cat?" in [prompt for _, prompt in server.asked]
    assert JudgeIdentity.parse(run.judge).prompts.startswith("mine-")
    app = form(run, "openai")
    assert app.selectbox(key="judge_prompts").value == "mine"  # as the run was asked


def test_a_built_in_name_is_not_taken(run: Run, server: LoopbackServer) -> None:
    app = at_server(form(run, "openai"), server)
    app.text_area(key="judge_prompt_system").set_value("Be brief.").run()
    app = settled(app.text_input(key="judge_prompt_name").set_value("paper").run())
    app = settled(app.button(key="keep_prompts").click().run())
    assert "comes with the program; choose another" in app.error[0].value
    assert not run.path("prompts.json").exists()


@pytest.mark.slow
def test_examples_wait_for_decisions_and_then_go_with_the_questions(run: Run, server: LoopbackServer) -> None:
    app = at_server(form(run, "openai"), server)
    app = settled(app.selectbox(key="judge_prompts").select("examples").run())
    assert "decide on some rejections first" in texts(app)
    assert not [button for button in app.button if button.key == "refine"]
    overrides.override(run, ["poodle"], "kept", "ann")
    app = at_server(form(run, "openai"), server)
    app = settled(app.selectbox(key="judge_prompts").select("examples").run())
    app = settled(app.text_input(key=f"judge_prompt_negative_{run.name}").set_value("rust").run())
    assert "user: Is 'poodle' a subcategory of 'dog'?\n\nassistant: No" in sent(app)[1]
    started(app)
    told = [m["content"] for m in server.requests[-1]["messages"]]
    assert "Is 'poodle' a subcategory of 'dog'?" in told
    assert JudgeIdentity.parse(run.judge).prompts.startswith("examples-")


@pytest.mark.slow
def test_a_panel_of_wordnet_and_a_server_is_chosen_and_asked(run: Run, server: LoopbackServer) -> None:
    app = at_server(form(run, "openai"), server)
    app = settled(app.segmented_control(key="judge_kind").set_value("panel").run())
    assert "Choose two judges or more" in texts(app)
    members = app.multiselect(key="judge_members")
    model = f"openai:m@{server.url}"
    assert set(members.options) == {"wordnet", model}
    app = settled(members.set_value(["wordnet", model]).run())
    assert f"to {server.url}".replace("/", "") in texts(app).replace("\\", "").replace("/", "")
    started(app)
    assert run.judge == f"panel:majority(wordnet, {model})"
    assert run.rejections.keys() == {"oslo"}
    assert {verdict.judge for verdict in run.verdicts} == {"wordnet", model, run.judge}
    app = settled(at("review", run=run.name, queue="all"))
    assert "the panel was divided \\(1 of 2 said yes\\)" in texts(app)  # on the poodle


def test_it_is_said_that_a_key_goes_to_every_server_of_a_panel(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    app = form(run, "panel")
    members = ["openai:m@http://127.0.0.1:1/v1", "openai:m@http://127.0.0.1:2/v1"]
    app = settled(app.multiselect(key="judge_members").set_value(members).run())
    assert "Your key goes to each of these servers" in texts(app)
    app = settled(app.multiselect(key="judge_members").set_value(["wordnet", members[0]]).run())
    assert "Your key goes" not in texts(app)


def test_a_panel_that_cannot_be_is_said_in_the_form(run: Run) -> None:
    app = form(run, "panel")
    app = settled(app.multiselect(key="judge_members").set_value(["wordnet", "gpt"]).run())
    assert "no judge 'gpt'" in app.error[0].value.replace("\\", "")
    app = settled(app.multiselect(key="judge_members").set_value(["wordnet", "openai:m@http://u:pw@host/v1?k=1"]).run())
    assert "credentials or parameters" in app.error[0].value
    assert not [button for button in app.button if button.key == "refine"]


def test_damaged_prompt_sets_are_said_on_the_page(run: Run) -> None:
    run.path("prompts.json").write_text('{"sets": [', encoding="utf-8")
    app = settled(at("classes", run=run.name, step="refine"))
    assert "prompts.json cannot be read" in app.error[0].value.replace("\\", "")
    assert "put the file back from a backup" in app.error[0].value
