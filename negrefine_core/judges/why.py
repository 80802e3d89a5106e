"""Why a language model answered as it did: asked on a person's wish, and kept in the run beside the verdict."""

from ..errors import NegRefineError
from ..judge import JudgeIdentity, Reply
from ..negfilter import run_coroutine
from ..records import Reason, Verdict, now
from ..runs import Run
from .openai import OpenAIJudge
from .wording import Message

SYSTEM = "You are a helpful assistant."
MAX_TOKENS = 300
LONGEST = 20_000  # characters that are kept, of a server that does not keep to the tokens
TIMEOUT = 60.0  # seconds
RETRIES = 1


def can_be_asked(verdict: Verdict) -> bool:
    """Whether the judge has words of its own: a language model behind a server, and the question was put to it."""
    return JudgeIdentity.parse(verdict.judge).kind == "openai" and bool(verdict.prompt) and not verdict.malformed


def kept_reason(run: Run, verdict: Verdict) -> Reason | None:
    """The last reason that the verdict's judge has given for this answer."""
    told = (verdict.judge, verdict.subject, verdict.answer)
    return next((r for r in reversed(run.reasons) if (r.judge, r.subject, r.answer) == told), None)


def ask_why(run: Run, verdict: Verdict, api_key: str | None = None) -> Reason:
    """The judge's reason: the one that is kept, else asked for now, and kept.

    Args:
        api_key: OPENAI_API_KEY when not given. It goes to the server that the verdict names.

    Raises NegRefineError where the judge is no language model, or its server does not answer.
    """
    if not can_be_asked(verdict):
        raise NegRefineError(f"{verdict.judge} has no reasons in words; only a language model can be asked why")
    earlier = kept_reason(run, verdict)
    if earlier:
        return earlier
    identity = JudgeIdentity.parse(verdict.judge)
    judge = OpenAIJudge(identity.model, identity.url, api_key=api_key, timeout=TIMEOUT, retries=RETRIES)
    reply = run_coroutine(_reply(judge, messages(verdict)))
    reason = Reason(
        negative=verdict.negative,
        kind=verdict.kind,
        id_label=verdict.id_label,
        answer=verdict.answer,
        judge=verdict.judge,
        text=reply.text[:LONGEST],
        time=now(),
        latency=round(reply.latency, 3),
        model=reply.model,
    )
    run.append_reason(reason)
    return reason


def messages(verdict: Verdict) -> list[Message]:
    """The question and the answer as they were, and why."""
    words = f"what '{verdict.negative}' means"
    if verdict.id_label:
        words = f"what '{verdict.negative}' and '{verdict.id_label}' mean"
    return [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": verdict.prompt},
        {"role": "assistant", "content": verdict.reply},
        {"role": "user", "content": f"Why? Say in two or three sentences {words}, and how your answer follows."},
    ]


async def _reply(judge: OpenAIJudge, told: list[Message]) -> Reply:
    await judge.open()
    try:
        return await judge.tell(told, MAX_TOKENS)
    finally:
        await judge.close()
