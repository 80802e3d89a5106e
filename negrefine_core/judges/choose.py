"""The judge of an identity: a row a kind of judge."""

from ..errors import NegRefineError
from ..hyperparameters import IN_FLIGHT
from ..judge import Judge, JudgeIdentity
from .wordnet import WordNetJudge


def open_judge(
    identity: str,
    wordnet: str = "bundled",
    model: str = "",
    base_url: str = "",
    in_flight: int = IN_FLIGHT,
    rate_limit: float | None = None,
) -> Judge:
    """The judge of an identity as a run keeps it (`openai:MODEL@URL`), or as the user writes it (`openai`).

    Raises NegRefineError when there is no such judge, or it lacks a model or a key.
    """
    asked = JudgeIdentity.parse(identity)
    if asked.kind == "wordnet":
        return WordNetJudge(wordnet)
    if asked.kind == "replay":
        from ..reference import logged_verdicts
        from .replay import ReplayJudge

        return ReplayJudge(logged_verdicts(asked.detail), asked.detail)
    if asked.kind == "openai":
        from .cache import CachedJudge
        from .openai import OpenAIJudge

        if not (model or asked.model):
            raise NegRefineError("the judge 'openai' needs the name of a model: --judge-model")
        return CachedJudge(
            OpenAIJudge(model or asked.model, base_url or asked.url, concurrency=in_flight, rate=rate_limit)
        )
    raise NegRefineError(f"no judge {identity!r}; choose wordnet, openai, replay:RUN or replay:FOLDER")
