"""Answers of a server that are no replies of a model, or that hold what no file can."""

import json
from pathlib import Path

import pytest

from negrefine_core import pipeline
from negrefine_core.errors import NegRefineError
from negrefine_core.judge import Question
from negrefine_core.judges.cache import CachedJudge
from negrefine_core.judges.openai import OpenAIJudge
from negrefine_core.judges.replay import ReplayJudge
from negrefine_core.mining import Negative
from negrefine_core.negfilter import judge_chains
from negrefine_core.runs import Run, Settings
from tests.support.loopback_server import Action, LoopbackServer
from tests.support.refine_child import HashEncoder

LONE = "\ud800"
GARBAGE = [
    "<html>Yes, a login page</html>", "", "null", "17", "[]", "[[]]", "{}", '{"choices": []}', '{"choices": null}',
    '{"choices": [null]}', '{"choices": [{"message": null}]}', '{"choices": [{"message": {"content": null}}]}',
    '{"choices": [{"message": {"content": 1}}]}', '{"choices": [{"message": {"content": ["Yes"]}}]}',
    '{"cut": ', "[" * 100_000, "Yes\0", json.dumps({"error": LONE}),
]  # fmt: skip


def completion(text: object, **others: object) -> str:
    return json.dumps({"choices": [{"message": {"content": text}}], **others})


def judge_at(server: LoopbackServer, retries: int = 0) -> OpenAIJudge:
    return OpenAIJudge("small", server.url, api_key="none", concurrency=4, retries=retries)


def questions(count: int) -> list[list[Question]]:
    return [[Question(f"word {i}", "proper noun")] for i in range(count)]


def make_run(folder: Path, words: int = 12) -> Run:
    run = Run.create("r", Settings(n_groups=2), ["cat", "dog"], folder)
    run.write_initial_negatives(Negative(f"word{chr(97 + i)}", "noun", 0.1) for i in range(words))
    return run


@pytest.mark.parametrize("body", GARBAGE, ids=range(len(GARBAGE)))
def test_one_malformed_answer_is_kept_as_unclear_and_the_work_goes_on(body: str) -> None:
    with LoopbackServer(lambda p: Action(body=body or " ") if "'word 3'" in p else Action("No")) as server:
        judged = judge_chains(judge_at(server), questions(10))
    answers = [(chain[0].answer, chain[0].malformed) for chain in judged]
    assert answers == [("unclear" if i == 3 else "no", i == 3) for i in range(10)]
    assert judged[3][0].reply == (body or " ").encode("utf-8", "backslashreplace").decode()[:200]


def test_a_malformed_answer_is_asked_for_again_before_it_counts() -> None:
    with LoopbackServer() as server:
        server.behave = lambda _: Action("Yes") if len(server.asked) > 2 else Action(body="oops")
        ((verdict,),) = judge_chains(judge_at(server, retries=6), questions(1))
    assert (verdict.answer, verdict.malformed, len(server.asked)) == ("yes", False, 3)


def test_a_server_that_answers_everything_with_a_page_is_named_at_once_with_what_it_said() -> None:
    with (
        LoopbackServer(lambda _: Action(body="<html>Log in</html>")) as server,
        pytest.raises(NegRefineError, match=r"OpenAI-compatible.*the last: '<html>Log in</html>'.*is kept"),
    ):
        judge_chains(judge_at(server), questions(1000))
    assert len(server.asked) < 20


def test_a_few_malformed_answers_among_many_end_nothing_and_too_many_do() -> None:
    for every, ends in ((100, False), (20, True)):
        with LoopbackServer() as server:
            server.behave = lambda _, every=every: Action(body=None if len(server.asked) % every else "oops")
            if ends:
                with pytest.raises(NegRefineError, match="were no replies of a model"):
                    judge_chains(judge_at(server), questions(600))
            else:
                judged = judge_chains(judge_at(server), questions(600))
                assert sum(chain[0].malformed for chain in judged) == 6


def test_a_malformed_answer_is_in_no_cache_and_the_next_refine_asks_again(tmp_path: Path) -> None:
    run, cache = make_run(tmp_path), tmp_path / "verdicts.sqlite"
    with LoopbackServer(lambda p: Action(body="Yes!") if "wordc' a prop" in p else Action("No")) as server:
        first = pipeline.refine(run, HashEncoder(), CachedJudge(judge_at(server), cache))  # type: ignore[arg-type]
        assert [v.reply for v in first.verdicts if v.malformed] == ["Yes!"]
        assert "wordc" in {negative.label for negative in run.negatives}  # unclear counts as no
        server.behave, server.asked = lambda _: Action("Yes"), []
        again = pipeline.refine(run, HashEncoder(), CachedJudge(judge_at(server), cache))  # type: ignore[arg-type]
    assert [prompt for _, prompt in server.asked] == [Question("wordc", "proper noun").prompt]
    assert [v.negative for v in again.rejected] == ["wordc"]
    assert "wordc" not in {negative.label for negative in run.negatives}


def test_a_replayed_malformed_answer_stays_one() -> None:
    with LoopbackServer(lambda _: Action(body="Yes!")) as server:
        (verdicts,) = judge_chains(judge_at(server), questions(1))
    ((replayed,),) = judge_chains(ReplayJudge(verdicts, "log"), questions(1))
    assert (replayed.answer, replayed.malformed, replayed.reply) == ("unclear", True, "Yes!")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (f"Yes {LONE} <b>", "Yes \\ud800 <b>"),
        ("No\0\n\r\n|</script>", "No\0\n\r\n|</script>"),
        ("Yes" + "\u00e9\u4e2d" * 10_000, "Yes" + "\u00e9\u4e2d" * 10_000),
        ("", ""),
    ],
)
def test_whatever_a_model_says_is_kept_and_can_be_read_again(tmp_path: Path, text: str, kept: str) -> None:
    run, cache = make_run(tmp_path, words=1), tmp_path / "verdicts.sqlite"
    said = completion(text, model=f"m{LONE}", usage={"prompt_tokens": "many", "completion_tokens": [1]})
    with LoopbackServer(lambda p: Action(body=said) if "subcat" in p else Action("No")) as server:
        judge = CachedJudge(judge_at(server), cache)
        with run.verdict_log() as log:
            judge_chains(judge, [[Question("w", "subcategory", "cat")]], None, log.append)
        assert [(v.reply, v.model) for v in run.verdicts] == [(kept, "m\\ud800")]
        (reply,) = judge.cached([Question("w", "subcategory", "cat")]).values()
    assert (reply.text, reply.prompt_tokens, reply.completion_tokens, reply.malformed) == (kept, None, None, False)


def test_an_error_of_the_server_with_half_a_character_is_a_message_that_can_be_printed() -> None:
    refuse = LoopbackServer(lambda _: Action(status=400, body=json.dumps({"error": {"message": f"bad {LONE}"}})))
    with refuse as server, pytest.raises(NegRefineError) as caught:
        judge_chains(OpenAIJudge(f"m{LONE}", server.url, retries=0), questions(1))
    assert "bad \\ud800" in str(caught.value).encode().decode()
