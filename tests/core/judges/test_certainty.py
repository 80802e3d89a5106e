"""P(yes) from a server's log-probabilities: worked out, kept, used as a sign of doubt, and done without."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from negrefine_core import pipeline
from negrefine_core.judge import Question
from negrefine_core.judges.agreement import suspicions, suspicions_of_kept, unsureness
from negrefine_core.judges.cache import CachedJudge
from negrefine_core.judges.certainty import p_yes
from negrefine_core.judges.openai import OpenAIJudge
from negrefine_core.judges.wording import Wording
from negrefine_core.lexicon import WordNet
from negrefine_core.mining import Negative
from negrefine_core.negfilter import judge_chains
from negrefine_core.prompts import PAPER
from negrefine_core.records import Verdict
from negrefine_core.runs import Run, Settings
from tests.support.loopback_server import Action, LoopbackServer
from tests.support.refine_child import HashEncoder

IDS = ["cat", "dog"]


def entry(token: str, **likely: float) -> dict[str, object]:
    others = [{"token": name.replace("_", " "), "logprob": math.log(p)} for name, p in likely.items()]
    return {"token": token, "logprob": -0.1, "top_logprobs": others}


def asked_at(server: LoopbackServer, count: int = 3) -> list[Verdict]:
    judge = OpenAIJudge("m", server.url, concurrency=2, retries=1)
    return [chain[0] for chain in judge_chains(judge, [[Question(f"w {i}", "proper noun")] for i in range(count)])]


def test_p_yes_is_the_mass_of_the_yes_tokens_over_that_of_yes_and_no() -> None:
    tokens = entry("Yes", Yes=0.5, yes=0.1, _No=0.2, NO=0.1, Maybe=0.1)
    assert p_yes({"content": [tokens]}) == pytest.approx(0.6 / 0.9, abs=1e-4)


def test_p_yes_is_taken_where_the_model_answers_and_not_at_a_bracket_or_a_blank() -> None:
    content = [entry('{"', **{'{"': 1.0}), entry("answer", answer=1.0), entry('":"', No=0.9), entry("Y", Y=0.7, N=0.3)]
    assert p_yes({"content": [entry("\n", No=1.0), *content]}, is_structured=True) == pytest.approx(0.7)
    assert p_yes({"content": [entry("\n", No=1.0), entry(" No", _No=0.6, Yes=0.2)]}) == pytest.approx(0.25)


def test_a_reply_that_begins_with_something_else_says_nothing_of_yes_and_no() -> None:
    told = [entry("The", The=0.9, Yes=0.03, No=0.01), entry("not", not_=0.9, Yes=0.1)]
    assert p_yes({"content": told}) is None


@pytest.mark.parametrize(
    "logprobs",
    [
        None, [], 7, {}, {"content": None}, {"content": []}, {"content": [None]}, {"content": [{"token": None}]},
        {"content": [{"token": "Yes", "logprob": -0.1}]},  # the likely ones are not told
        {"content": [entry("Perhaps", Perhaps=1.0)]},
        {"content": [{"token": "Yes", "top_logprobs": [{"token": "Yes", "logprob": "much"}]}]},
        {"tokens": ["Yes"], "token_logprobs": [-0.1]},  # the older completions' form
    ],
)  # fmt: skip
def test_what_says_nothing_of_yes_and_no_gives_none(logprobs: object) -> None:
    assert p_yes(logprobs) is None


def test_it_is_kept_with_the_verdict_and_in_the_cache(tmp_path: Path) -> None:
    with LoopbackServer(lambda _: Action("No", likely={"No": 0.6, "Yes": 0.2})) as server:
        for name in ("first", "second"):  # the second from the cache
            run = Run.create(name, Settings(n_groups=1), IDS, tmp_path)
            run.write_initial_negatives([Negative("rust", "noun", 0.1)])
            judge = CachedJudge(OpenAIJudge("m", server.url), tmp_path / "v.sqlite")
            pipeline.refine(run, HashEncoder(), judge)  # type: ignore[arg-type]
            assert {(v.p_yes, v.p_yes_from) for v in run.verdicts} == {(0.25, "first token")}
        assert len(server.asked) == 3
    assert all(request["logprobs"] is True for request in server.requests)


@pytest.mark.parametrize("status", [400, 422, 500, 501])
def test_a_server_that_refuses_log_probabilities_is_asked_without_and_not_again_with(
    status: int, tmp_path: Path
) -> None:
    with LoopbackServer(refuses={"logprobs": status}) as server:
        verdicts = asked_at(server, 30)
        assert [(v.answer, v.p_yes) for v in verdicts] == [("no", None)] * 30
        assert len(server.asked) == 30
        assert sum("logprobs" in request for request in server.requests) <= 3  # those in flight then, and one more
    run = Run.create("r", Settings(), IDS, tmp_path)
    with run.verdict_log() as log:
        log.append(verdicts[0])
    assert "p_yes" not in json.loads(run.path("verdicts.jsonl").read_text(encoding="utf-8"))


def test_a_server_that_refuses_both_gives_its_answers_all_the_same() -> None:
    structured = replace(PAPER, name="mine", is_structured=True)
    with LoopbackServer(refuses={"logprobs": 400, "response_format": 422}) as server:
        judge = OpenAIJudge("m", server.url, concurrency=1, wording=Wording(structured))
        judged = judge_chains(judge, [[Question(f"w {i}", "proper noun")] for i in range(5)])
    assert [chain[0].reply for chain in judged] == ["No"] * 5


def test_a_refused_key_is_not_taken_for_a_refusal_of_log_probabilities() -> None:
    with LoopbackServer(lambda _: Action(status=429, headers={"retry-after-ms": "10"})) as server:
        server.behave = lambda _: Action(status=429, headers={"retry-after-ms": "10"}) if len(
            server.requests
        ) < 2 else Action("No", likely={"No": 1.0})  # fmt: skip
        assert [v.p_yes for v in asked_at(server, 2)].count(0.0) >= 1


def test_a_judge_that_was_unsure_is_doubted_more(wordnet: WordNet) -> None:

    def rejected(p: float | None) -> Verdict:
        return Verdict("qwx", "proper noun", None, None, "p", "Yes", "yes", "m", "", 0.0, p_yes=p)

    scores = [suspicions([rejected(p)], wordnet)[0].score for p in (None, 0.99, 0.8, 0.55)]
    assert scores[0] == scores[1] == 0 < scores[2] < scores[3]
    assert "the judge itself was not sure (P(yes) 55%)" in suspicions([rejected(0.55)], wordnet)[0].why
    kept = [replace(rejected(p), answer="no") for p in (0.02, 0.4)]
    doubts = suspicions_of_kept([[verdict] for verdict in kept], None)
    assert [doubt.verdict.p_yes for doubt in doubts] == [0.4, 0.02]
    assert unsureness([kept[0], kept[1]]) == 0.4
    assert unsureness([kept[1], rejected(0.9)]) == pytest.approx(0.1)
    assert unsureness([rejected(None)]) is None
    assert unsureness([]) is None
