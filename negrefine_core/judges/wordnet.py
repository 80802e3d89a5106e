"""WordNet itself as NegFilter's judge: offline, and every answer checkable (paper, section 4.1)."""

from functools import cached_property

from ..judge import JudgeIdentity, Question, Reply
from ..lexicon import WordNet


class WordNetJudge:
    """The offline judge: a proper noun is a word whose every sense is an instance in WordNet; a subcategory is a word
    some sense of which is a hyponym of some sense of the ID label."""

    concurrency = 1

    def __init__(self, source: str = "bundled") -> None:
        self.source = source
        self.identity = str(JudgeIdentity.wordnet(source))

    @cached_property
    def _wordnet(self) -> WordNet:
        return WordNet(self.source)

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def ask(self, question: Question) -> Reply:
        if question.kind == "proper noun":
            yes = self._wordnet.is_proper_noun(question.negative)
        else:
            yes = self._wordnet.is_subcategory(question.negative, question.id_label or "")
        return Reply("Yes" if yes else "No")
