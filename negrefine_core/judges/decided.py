"""What a judge decides by itself on a run's negatives, whoever decides in the run: read from what it has answered."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from ..judge import PUBLISHED
from ..negfilter import N_NEAREST
from ..records import Negative, Subject, Verdict
from ..runs import Run


@dataclass(frozen=True)
class Decided:
    """Whom a judge rejects: the yes by label; and the `lacking` labels, on which its answers do not come to a decision.
    All others it keeps."""

    rejections: Mapping[str, Verdict]
    lacking: tuple[str, ...] = ()

    def kept(self, run: Run) -> list[Negative]:
        """The negatives that it leaves in the run, in their order."""
        return [negative for negative in run.reviewable if negative.label not in self.rejections]


def decided_in(run: Run, judge: str, source: Run) -> Decided:
    """What a judge's answers in `source`, the run itself or another, decide on all negatives of the run. Whom the run
    follows has decided on all of them."""
    if source.folder == run.folder and judge == run.judge and run.is_refined:
        return Decided(run.rejections)
    return decided_by(run, judge, source.verdicts, [negative.label for negative in run.reviewable])


def decided_by(run: Run, judge: str, log: Iterable[Verdict], labels: Collection[str]) -> Decided:
    """What the answers of this judge in a log decide on these labels of the run; answers on other classes are none."""
    classes = {None, *run.id_labels}
    chains = chains_of((verdict for verdict in log if verdict.id_label in classes), judge)
    wanted = _lengths(run, labels)
    rejections, lacking = dict[str, Verdict](), []
    for label in labels:
        chain = chains.get(label, {}).values()
        if yes := next((verdict for verdict in chain if verdict.answer == "yes"), None):
            rejections[label] = yes
        elif len(chain) < wanted[label]:
            lacking.append(label)
    return Decided(rejections, tuple(lacking))


def chains_of(log: Iterable[Verdict], judge: str) -> dict[str, dict[Subject, Verdict]]:
    """The judge's last answer to each question, by label."""
    chains: dict[str, dict[Subject, Verdict]] = {}
    for verdict in log:
        if verdict.judge == judge:
            chains.setdefault(verdict.negative, {})[verdict.subject] = verdict
    return chains


def needs_model(run: Run) -> bool:
    """Whether the questions are found by the run's model: those of a published run are the ones of its log."""
    return run.judge != PUBLISHED


def _lengths(run: Run, labels: Iterable[str]) -> dict[str, int]:
    """After how many answers without a yes each label is kept."""
    if needs_model(run):
        return dict.fromkeys(labels, 1 + min(N_NEAREST, len(run.id_labels)))
    logged = chains_of(run.verdicts, run.judge)
    return {label: max(1, len(logged.get(label, ()))) for label in labels}
