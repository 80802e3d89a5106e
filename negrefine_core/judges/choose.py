"""Who can judge, a row a kind of judge; and the judge of an identity."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..errors import NegRefineError
from ..hyperparameters import IN_FLIGHT
from ..judge import Judge, JudgeIdentity
from ..prompts import PAPER

if TYPE_CHECKING:  # a run's files bring pandas, which takes a second: `--help` should not
    from .prompt_book import PromptBook


@dataclass(frozen=True)
class Asked:
    """What is said of the judge that is wanted; each kind of judge reads of it what it needs.

    `model`, `base_url` and `prompts` (the name of a prompt set) are the user's own, and win over those of the identity;
    the book has the prompt sets, without one those that come with the program. `api_key` is OPENAI_API_KEY when empty.
    """

    identity: JudgeIdentity
    wordnet: str
    model: str
    base_url: str
    in_flight: int
    rate_limit: float | None
    prompts: str
    api_key: str
    book: "PromptBook | None"


def _wordnet(asked: Asked) -> Judge:
    from .wordnet import WordNetJudge

    return WordNetJudge(asked.wordnet)


def _openai(asked: Asked) -> Judge:
    from .cache import CachedJudge
    from .openai import OpenAIJudge
    from .prompt_book import PromptBook

    model = asked.model or asked.identity.model
    url = asked.base_url or asked.identity.url
    if not model:
        raise NegRefineError("the judge 'openai' needs the name of a model: --judge-model, or openai:MODEL@URL")
    judge = OpenAIJudge(
        model,
        url,
        api_key=asked.api_key or None,
        concurrency=asked.in_flight,
        rate=asked.rate_limit,
        wording=(asked.book or PromptBook()).wording(asked.prompts or asked.identity.prompts),
    )
    return CachedJudge(judge)


def _replay(asked: Asked) -> Judge:
    from ..reference import logged_verdicts
    from .replay import ReplayJudge

    return ReplayJudge(logged_verdicts(asked.identity.detail), asked.identity.detail)


def _panel(asked: Asked) -> Judge:
    from .panel import PanelJudge

    members = [JudgeIdentity.parse(member) for member in asked.identity.members]
    if any(member.kind == "panel" for member in members):
        raise NegRefineError("a panel is made of judges, and not of panels")
    return PanelJudge(asked.identity.rule, [_open(_as_member(asked, member)) for member in members])


def _as_member(asked: Asked, member: JudgeIdentity) -> Asked:
    """What is said of a member: a prompt set is for those that are asked in words, and have none of their own."""
    kind = JUDGES.get(member.kind)
    is_free = kind is not None and kind.reads_words and member.prompts == PAPER.name
    return replace(asked, identity=member, prompts=asked.prompts if is_free else "")


@dataclass(frozen=True)
class JudgeKind:
    """One kind of judge: how it is written, for the user, and how it is opened (its imports wait until then); whether
    it is asked in words, of which there are prompt sets."""

    written: str
    open: Callable[[Asked], Judge]
    reads_words: bool = False


JUDGES: Mapping[str, JudgeKind] = {  # by the kind of their identity
    "wordnet": JudgeKind("wordnet (offline)", _wordnet),
    "openai": JudgeKind("openai (any OpenAI-compatible server; its key comes from OPENAI_API_KEY)", _openai, True),
    "replay": JudgeKind("replay:RUN, replay:FOLDER (answers given before)", _replay),
    "panel": JudgeKind("panel:majority(JUDGE, JUDGE, ...), panel:any(...) (several as one)", _panel, True),
}


def written_judges() -> str:
    """What a user can write to name a judge."""
    return ", ".join(kind.written for kind in JUDGES.values())


def open_judge(
    identity: str,
    wordnet: str = "bundled",
    model: str = "",
    base_url: str = "",
    in_flight: int = IN_FLIGHT,
    rate_limit: float | None = None,
    prompts: str = "",
    api_key: str = "",
    book: "PromptBook | None" = None,
) -> Judge:
    """The judge of an identity as a run keeps it (`openai:MODEL@URL`), or as the user writes it (`openai`).

    Raises NegRefineError when there is no such judge, or it lacks a model, a key or a prompt set of that name.
    """
    parsed = JudgeIdentity.parse(identity)
    return _open(Asked(parsed, wordnet, model, base_url, in_flight, rate_limit, prompts, api_key, book))


def _open(asked: Asked) -> Judge:
    kind = JUDGES.get(asked.identity.kind)
    if kind is None:
        raise NegRefineError(f"no judge {str(asked.identity)!r}; choose one of: {written_judges()}")
    if not kind.reads_words and {asked.prompts, asked.identity.prompts} - {"", PAPER.name}:
        raise NegRefineError(
            f"the judge {str(asked.identity)!r} is asked in no words: a prompt set goes with a language model, "
            "--judge openai"
        )
    return kind.open(asked)
