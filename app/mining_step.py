"""Mining a new run's negatives: at once where every word is embedded already, else as a job."""

from functools import partial
from pathlib import Path

import background
import features
from negrefine_core import jobs, paths
from negrefine_core.errors import NegRefineError
from negrefine_core.runs import Run

AT_ONCE = 100  # words still to embed


def warm_up(run: Run) -> None:
    """Load the run's model in the background, where it is on this computer for sure."""
    fingerprint = run.info.get("model", {}).get("fingerprint", "")
    if fingerprint and (paths.CACHE / "features" / fingerprint).exists():
        background.begin(("model", run.settings.model, run.settings.pretrained), partial(features.encoder, run))


def mined(run: Run) -> bool:
    """Whether the run's negatives are there. Begins to mine a run that no job is to do with."""
    if run.path("initial_negatives.csv").exists():
        return True
    if any(job.state != "done" for job in mining_jobs(run)):
        return False
    key = ("mine", str(run.folder), run.folder.stat().st_ino)
    done = background.result(key, partial(_mine_at_once, run.folder), "Mining the negatives …")
    if done is False:
        jobs.start(jobs.Spec(title=f"Mine {run.name}", run=run.name, steps=(jobs.Mine(),)))
    return run.path("initial_negatives.csv").exists()


def mining_jobs(run: Run) -> list[jobs.Job]:
    """The run's jobs that mine, the newest first."""
    its = [job for job in jobs.all_jobs() if job.spec.run == run.name]
    return [job for job in its if any(isinstance(step, jobs.Mine) for step in job.spec.steps)]


def _mine_at_once(folder: Path) -> bool:
    """Mine, unless that takes long; also False where the model cannot be had: the job then says why."""
    from negrefine_core import labels, pipeline

    run = Run(folder)
    try:
        model, words = features.encoder(run), pipeline.candidates(run)
    except NegRefineError:
        return False
    needed = (
        (words.nouns, pipeline.noun_templates(run)),
        (words.adjective_phrases, labels.ADJECTIVE_TEMPLATES),
        (words.nouns, labels.NEGLABEL_NOUN_TEMPLATES),
        (words.adjectives, labels.NEGLABEL_ADJECTIVE_TEMPLATES),
    )
    if sum(model.missing(names, templates) for names, templates in needed) > AT_ONCE:
        return False
    pipeline.mine(run, model)
    return True
