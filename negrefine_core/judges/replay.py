"""A judge that answers from verdicts given before: a published log's, or an earlier run's."""

from collections.abc import Iterable

from ..judge import JudgeIdentity, Question, Reply
from ..negfilter import Verdict

MISSING = "(not in the log)"


class ReplayJudge:
    """Repeats logged answers, whatever words the questions were put in.

    A question that the log lacks gets an unclear reply, which is counted.

    Args:
        verdicts: the log; of several answers to one question the last counts.
        source: its name, for the identity.
    """

    concurrency = 1

    def __init__(self, verdicts: Iterable[Verdict], source: str) -> None:
        self.identity = str(JudgeIdentity.replay(source))
        self._verdicts = {verdict.subject: verdict for verdict in verdicts}

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def ask(self, question: Question) -> Reply:
        logged = self._verdicts.get(question.subject)
        if logged is None:
            return Reply(MISSING)
        text = logged.reply or logged.answer.capitalize()  # the published logs keep no raw replies
        return Reply(
            text,
            logged.latency,
            logged.model,
            logged.prompt_tokens,
            logged.completion_tokens,
            logged.time,
            logged.malformed,
            logged.prompt,
            logged.p_yes,
            logged.p_yes_from,
        )
