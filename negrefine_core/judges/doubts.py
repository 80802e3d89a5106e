"""What speaks against each verdict of a run: worked out from its log and WordNet in seconds, or come with the run."""

from collections.abc import Iterable

from ..judge import JudgeIdentity
from ..lexicon import WordNet, bundled_digest
from ..records import Verdict
from ..run_files.checks import digest
from ..run_files.doubts import DOUBTS, Doubts, read_doubts, write_doubts
from ..runs import Run
from .agreement import suspicions, suspicions_of_kept

SIGNS = 1  # raised with any change of what the signs find: doubts of the one before are then worked out anew


def doubts_of(run: Run, wordnet: WordNet) -> Doubts:
    """Those that came with the run, if they were made from these verdicts and this WordNet; else worked out now."""
    return read_doubts(run.path(DOUBTS), _made_from(run)) or work_out(run, wordnet)


def keep_doubts(run: Run, wordnet: WordNet) -> None:
    """Write `doubts.json`, so that who opens the run need not wait for it."""
    write_doubts(run.path(DOUBTS), work_out(run, wordnet), _made_from(run))


def work_out(run: Run, wordnet: WordNet) -> Doubts:
    """The doubts of rejected and of kept negatives, by the bundled WordNet and by the other judges of the log."""
    chains, others = by_judge(run)
    rejected = run.rejections
    kept = [chains[negative.label] for negative in run.reviewable if negative.label in chains.keys() - rejected.keys()]
    is_wordnet = JudgeIdentity.parse(run.judge).kind == "wordnet"
    found = suspicions(rejected.values(), wordnet, others, run.id_labels)
    found += suspicions_of_kept(kept, None if is_wordnet else wordnet, others)
    against = {doubt.verdict.negative: (doubt.score, doubt.why) for doubt in found if doubt.score > 0}
    return Doubts(wordnet.usual_file(run.id_labels), against)


def by_judge(run: Run) -> tuple[dict[str, list[Verdict]], list[list[Verdict]]]:
    """(What the run's judge was asked about each negative, in order; what each other judge answered.)"""
    judge, chains, others = run.judge, dict[str, list[Verdict]](), dict[str, list[Verdict]]()
    for verdict in run.verdicts:
        is_own = verdict.judge == judge
        answers = chains.setdefault(verdict.negative, []) if is_own else others.setdefault(verdict.judge, [])
        answers.append(verdict)
    return chains, list(others.values())


def _made_from(run: Run) -> str:
    log = run.path("verdicts.jsonl")
    parts: Iterable[str] = (
        str(SIGNS),
        run.judge,
        run.info.class_list_hash,
        digest(log.read_bytes() if log.exists() else b""),
        bundled_digest(),
    )
    return digest("\n".join(parts))
