"""A panel: several judges as one, which decides by their votes while each one's verdicts are kept."""

import asyncio
from collections.abc import Sequence

from ..errors import NegRefineError
from ..judge import Answer, Judge, JudgeIdentity, Question, Reply

RULES = ("majority", "any")


class PanelJudge:
    """Asks all its members; by "majority" more than half of them must say yes, by "any" one is enough.

    Raises NegRefineError for an unknown rule, and for fewer than two members or the same one twice.
    """

    def __init__(self, rule: str, members: Sequence[Judge]) -> None:
        if rule not in RULES:
            raise NegRefineError(f"a panel decides by {' or '.join(RULES)}, not by {rule[:40]!r}")
        names = [member.identity for member in members]
        if len(set(names)) < len(names) or len(names) < 2:
            raise NegRefineError(
                f"a panel needs two judges or more, each once, not: {', '.join(names) or 'none'}; write "
                "panel:majority(wordnet, openai:MODEL@URL)"
            )
        self.rule, self.members = rule, tuple(members)
        self.identity = str(JudgeIdentity.panel(rule, names))
        self.concurrency = max(member.concurrency for member in members)

    async def open(self) -> None:
        opened = []
        try:
            for member in self.members:
                await member.open()
                opened.append(member)
        except BaseException:
            await _close(opened)
            raise

    async def close(self) -> None:
        await _close(self.members)

    async def ask(self, question: Question) -> Reply:
        replies = await asyncio.gather(*(member.ask(question) for member in self.members))
        return self.decide([None if reply.malformed else reply.answer for reply in replies])

    def decide(self, votes: Sequence[Answer | None]) -> Reply:
        """The panel's reply to its members' answers; None is for a member that gave none, and where that decides the
        vote there is no reply: it is malformed."""
        yes, missing, voters = votes.count("yes"), votes.count(None), len(votes)
        is_yes = self._passes(yes, voters)
        is_open = is_yes != self._passes(yes + missing, voters)
        text = f"{'Yes' if is_yes else 'No'}: {yes} of {voters} say yes"
        return Reply(text, p_yes=round(yes / voters, 4), p_yes_from="votes", malformed=is_open)

    def _passes(self, yes: int, voters: int) -> bool:
        return yes > 0 if self.rule == "any" else 2 * yes > voters


async def _close(members: Sequence[Judge]) -> None:
    for member in members:
        await member.close()
