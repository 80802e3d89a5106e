"""Mining a new run's negatives: at once where every word is embedded already, else as a job."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter

from negrefine_core import jobs, paths
from negrefine_core.errors import NegRefineError
from negrefine_core.runs import Run

from ..shared import background, features

AT_ONCE = 100  # words still to embed
SAMPLE = 256  # words embedded to know how long the others take


@dataclass(frozen=True)
class Ahead:
    """How many words mining embeds first, in how many texts, and for about how many seconds at this moment's pace."""

    words: int
    texts: int
    seconds: float


def warm_up(run: Run) -> None:
    """Load the run's model in the background, where it is on this computer for sure."""
    fingerprint = run.info.fingerprint
    if fingerprint and (paths.CACHE / "features" / fingerprint).exists():
        background.begin(("model", run.settings.model, run.settings.pretrained), partial(features.encoder, run))


def mined(run: Run) -> bool:
    """Whether the run's negatives are there. Begins to mine a run that no job is to do with."""
    if run.is_mined:
        return True
    if any(job.state != "done" for job in mining_jobs(run)):
        return False
    key = ("mine", str(run.folder), run.folder.stat().st_ino)
    done = background.result(key, partial(_mine_at_once, run.folder), "Mining the negatives …")
    if done is False:
        jobs.start(jobs.Spec(title=f"Negatives of {run.name}", run=run.name, steps=(*_download(run), jobs.Mine())))
    return run.is_mined


def mine_and_refine(run: Run) -> None:
    """One job for both, with the run's own judge."""
    title = f"Mine and refine {run.name}"
    jobs.start(jobs.Spec(title=title, run=run.name, steps=(*_download(run), jobs.Mine(), jobs.Refine())))


def _download(run: Run) -> tuple[jobs.Download, ...]:
    """The step that fetches the run's model, where it is not here."""
    from negrefine_core import weights

    model, pretrained = run.settings.model, run.settings.pretrained
    return () if weights.is_here(model, pretrained) else (jobs.Download(model=model, pretrained=pretrained),)


def mining_jobs(run: Run) -> list[jobs.Job]:
    """The run's jobs that mine, the newest first."""
    return [job for job in _all_mining_jobs() if job.spec.run == run.name]


def _all_mining_jobs() -> list[jobs.Job]:
    return [job for job in jobs.all_jobs() if any(isinstance(step, jobs.Mine) for step in job.spec.steps)]


def ahead(run: Run) -> Ahead | None:
    """What mining with the run's model and prompts has to embed; None and a sign of waiting until it is known, and
    where the model cannot be had: the job then says why."""
    return background.result(_ahead_key(run), partial(_ahead, run.folder), "Looking up which words are embedded")


def sampled(run: Run) -> dict[str, float]:
    """Seconds that mining takes with the run's model, by its name, once `ahead` has found it out; empty before."""
    found: Ahead | None = background.known(_ahead_key(run))
    return {run.settings.model: found.seconds} if found and not run.settings.pretrained else {}


def _ahead_key(run: Run) -> tuple[object, ...]:
    last = next(((job.id, job.state) for job in _all_mining_jobs()), None)  # less is ahead after it
    return "ahead", run.state("run.json"), last


def _ahead(folder: Path) -> Ahead | None:
    run = Run(folder)
    try:
        model, lists = features.encoder(run), _lists(run)
    except NegRefineError:
        return None
    words, texts, seconds = 0, 0, 0.0
    for names, templates in lists:
        missing = model.missing(names, templates)
        sample = missing[:SAMPLE]
        start = perf_counter()
        model.encode_labels(sample, templates)
        words += len(missing) - len(sample)
        texts += (len(missing) - len(sample)) * len(templates)
        seconds += (perf_counter() - start) / max(len(sample), 1) * (len(missing) - len(sample))
    return Ahead(words, texts, seconds)


def _lists(run: Run) -> list[tuple[Sequence[str], Sequence[str]]]:
    """The words that are mined from, each list with its templates: for NegRefine and CSP, and for NegLabel."""
    from negrefine_core import labels, pipeline

    words = pipeline.candidates(run)
    return [
        (words.nouns, pipeline.noun_templates(run)),
        (words.adjective_phrases, labels.ADJECTIVE_TEMPLATES),
        (words.nouns, labels.NEGLABEL_NOUN_TEMPLATES),
        (words.adjectives, labels.NEGLABEL_ADJECTIVE_TEMPLATES),
    ]


def _mine_at_once(folder: Path) -> bool:
    """Mine, unless that takes long; also False where the model cannot be had: the job then says why."""
    from negrefine_core import pipeline

    run = Run(folder)
    if _download(run):
        return False
    try:
        model = features.encoder(run)
        if sum(len(model.missing(names, templates)) for names, templates in _lists(run)) > AT_ONCE:
            return False
    except NegRefineError:
        return False
    pipeline.mine(run, model)
    return True
