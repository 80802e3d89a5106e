"""The judge of an identity: a row a kind of judge."""

from ..errors import NegRefineError
from ..hyperparameters import IN_FLIGHT
from ..judge import Judge
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
    kind, _, rest = identity.partition(":")
    if kind == "wordnet":
        return WordNetJudge(wordnet)
    if kind == "replay":
        from ..reference import logged_verdicts
        from .replay import ReplayJudge

        return ReplayJudge(logged_verdicts(rest), rest)
    if kind == "openai":
        from .cache import CachedJudge
        from .openai import OpenAIJudge

        kept_model, _, kept_url = rest.rpartition("@")
        if not (model or kept_model):
            raise NegRefineError("the judge 'openai' needs the name of a model: --judge-model")
        return CachedJudge(
            OpenAIJudge(model or kept_model, base_url or kept_url, concurrency=in_flight, rate=rate_limit)
        )
    raise NegRefineError(f"no judge {identity!r}; choose wordnet, openai, replay:RUN or replay:FOLDER")
