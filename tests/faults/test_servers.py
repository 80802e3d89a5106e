"""A model server that misbehaves costs no answer, and says one clear line."""

import pytest

from negrefine_core.errors import NegRefineError
from negrefine_core.judge import Question
from negrefine_core.judges import openai as openai_judge
from negrefine_core.judges.openai import OpenAIJudge
from negrefine_core.negfilter import judge_chains
from tests.faults.servers import MISBEHAVIOURS, trials
from tests.support.loopback_server import Action, LoopbackServer

KEY = "sk-secret-1234567890"
CHAINS = [[Question("oslo", "proper noun")]]


def test_a_misbehaving_server_loses_no_answer_and_says_one_clear_line() -> None:
    tried = list(trials(seed=1, count=len(MISBEHAVIOURS)))
    assert [trial for trial in tried if trial.outcome not in ("equal", "clear")] == []
    assert {trial.name for trial in tried} == set(MISBEHAVIOURS)
    assert {trial.outcome for trial in tried} == {"equal", "clear"}


def test_a_redirect_to_another_server_does_not_take_the_key_along() -> None:
    with LoopbackServer() as other, LoopbackServer() as server:
        to_other = {"location": f"{other.url}/chat/completions"}
        server.behave = lambda _: Action(status=307, headers=to_other)
        judge_chains(OpenAIJudge("m", server.url, api_key=KEY, retries=0), CHAINS)
    assert any(KEY in head for head in server.headers)
    assert other.headers
    assert KEY not in "".join(other.headers)


def test_https_where_the_server_speaks_http_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_judge, "CONNECT_TIMEOUT", 0.5)
    with LoopbackServer() as server, pytest.raises(NegRefineError, match=r"https://\S+ does not answer in time"):
        judge_chains(OpenAIJudge("m", server.url.replace("http:", "https:"), api_key=KEY, retries=0), CHAINS)


def test_an_answer_with_two_lengths_that_contradict_is_one_clear_line() -> None:
    with LoopbackServer(lambda _: Action(headers={"content-length": "7"})) as server:
        judge = OpenAIJudge("m", server.url, api_key=KEY, retries=0)
        with pytest.raises(NegRefineError, match="Every answer so far is kept"):
            judge_chains(judge, CHAINS)
