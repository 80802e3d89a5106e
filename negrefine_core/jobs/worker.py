"""The process of a background job: `python -m negrefine_core.jobs.worker FOLDER` does its steps and reports."""

import os
import signal
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .. import label_maps, maps, run_maps
from ..benchmarks.folders import find
from ..benchmarks.memory import peak_memory
from ..errors import NegRefineError
from ..feature_store import FeatureStore
from ..image_sets import ImageSet, open_image_set
from ..judge import JudgeIdentity, Wait
from ..models import MODELS
from ..runs import Run
from .plan import Part, Plan, by_model
from .queue import KEY, STOPPED, Job, device_turn, measured_rates
from .spec import Download, DrawMap, Evaluate, Mine, Refine, Score, Spec, Speed, Step, Try

if TYPE_CHECKING:  # torch takes seconds: a job that waits in its queue needs none
    from ..cache import CachedEncoder
    from ..judge import Judge
    from ..judges.trial import Standard
    from ..progress import Progress

NO_RUN = "the job names no run to work on"
NETWORK = "network"  # where downloads are queued
MAPS = "maps"  # where maps are: they wait for one another alone
USUAL_SIZE = 1_000_000_000  # bytes of a model that is not in the list
WRITE_EVERY = 0.25  # seconds
WINDOW = 8.0  # seconds over which the rate is measured


class Reporter:
    """Writes a job's progress: the steps' own `report`, a rate, the share that is done and the time that is left."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.now = job.progress
        self.plan = Plan((), {})
        self._written = 0.0

    def change(self, **values: Any) -> None:
        if self.job.is_to_stop:
            sys.exit(STOPPED)
        self.now, self._written = replace(self.now, **values), time.monotonic()
        self.job.write(self.now)

    @contextmanager
    def report(self, step: str) -> Iterator["Progress"]:
        """A step's progress bar, as `pipeline` asks for it."""
        self.change(step=step, done=0, total=0, rate=None, waiting="")
        seen: deque[tuple[float, int]] = deque()
        first: tuple[float, int] | None = None  # the first call tells what was known before

        def progress(done: int, total: int) -> None:
            nonlocal first
            now = time.monotonic()
            first = first or (now, done)
            began, known = first
            seen.append((now, done))
            while now - seen[0][0] > WINDOW and len(seen) > 2:
                seen.popleft()
            start, before = seen[0]
            rate = (done - before) / (now - start) if done > before and now > start else None
            if done == total:  # what later estimates go by: the whole step, and not its last seconds
                rate = (done - known) / (now - began) if done > known and now - began > 1 else rate
            if now - self._written > WRITE_EVERY or done == total:
                share, eta = self.plan.at(self.now.number - 1, done, total, rate)
                self.change(done=done, total=total, rate=rate, share=share, eta=eta)

        yield progress

    def wait(self, wait: Wait | None) -> None:
        """Who is waited for, as `pipeline.refine` tells it."""
        self.change(waiting=str(wait or ""))


def work(job: Job) -> None:
    """Do a job's steps when it is its turn. Raises NegRefineError where one cannot be done."""
    reporter, spec = Reporter(job), job.spec
    run = Run.open(spec.run) if spec.run else None
    device = _device(spec)
    reporter.change(device=device)
    with device_turn(job, device):
        reporter.change(state="running", step="Getting ready")
        reporter.plan = Plan([_part(step, run) for step in spec.steps], measured_rates(device))
        where = "cpu" if device == MAPS else device
        encoder = cache(lambda: _encoder(run, where, reporter))  # loaded by the first step that needs it
        for number, step in enumerate(spec.steps, 1):
            reporter.change(number=number, unit=step.unit, step="Getting ready", done=0, total=0, rate=None)
            message = _do(step, run, encoder, reporter)
            share, eta = reporter.plan.ended(number - 1)
            reporter.change(messages=(*reporter.now.messages, message), share=share, eta=eta, rates=reporter.plan.rates)
        reporter.change(state="done", step="", share=1.0, eta=None, ended=time.time())


def _device(spec: Spec) -> str:
    """Where the work is done: downloads wait for one another alone, and maps do."""
    if all(isinstance(step, Download) for step in spec.steps):
        return NETWORK
    if all(isinstance(step, DrawMap) for step in spec.steps):
        return MAPS
    from ..encoder import pick_device  # torch takes seconds: what stands before needs none

    return str(pick_device(spec.device))


def _part(step: Step, run: Run | None) -> Part:
    """What a step is going to do, as far as that can be told before."""
    if isinstance(step, Download):
        sizes = [model.costs.download for model in MODELS if model.name == step.model and not step.pretrained]
        return Part(step.unit, sizes[0] if sizes else USUAL_SIZE, step.unit, "server")
    if run is None:
        raise NegRefineError(NO_RUN)
    pace = by_model(step.unit, run.settings.model, run.settings.pretrained)
    match step:
        case Mine():
            return Part(step.unit, sum(_prompts(run)), pace, "model")
        case Refine() | Try():
            judge = step.judge or run.judge
            by: Literal["machine", "server"] = "server" if JudgeIdentity.parse(judge).servers else "machine"
            labels = len(_standard(step, run).decided) if isinstance(step, Try) else _labels(run)
            return Part(step.unit, labels, f"{step.unit} by {judge}", by)
        case Score():
            return Part(step.unit, _images(step), pace, "model")
        case Evaluate():
            return Part(step.unit, _comparisons(run), step.unit, "machine")
        case DrawMap():
            return Part(step.unit, maps.STAGES * maps.ROUNDS, step.unit, "machine")


def _prompts(run: Run) -> tuple[int, int]:
    from .. import mining, pipeline

    return mining.prompts(pipeline.candidates(run), pipeline.noun_templates(run))


def _labels(run: Run) -> int:
    if run.is_mined:
        return len(run.reviewable)
    from .. import pipeline

    words = pipeline.candidates(run)
    return int(run.settings.fraction * (len(words.nouns) + len(words.adjectives)))


def _comparisons(run: Run) -> int:
    """Each method's metrics on each set that is scored now or soon."""
    from .. import methods

    return len(methods.measured()) * max(1, len(run.scored_sets))


def _images(step: Score) -> int:
    try:
        return len(_pictures(step))
    except (NegRefineError, OSError):  # the step itself says it
        return 0


def _encoder(run: Run | None, device: str, reporter: Reporter) -> "CachedEncoder":
    from ..cache import CachedEncoder
    from ..encoder import load_encoder

    if run is None:
        raise NegRefineError(NO_RUN)
    reporter.change(step="Loading the model")
    return CachedEncoder(load_encoder(run.settings.model, run.settings.pretrained, device))


def _download(step: Download, reporter: Reporter) -> str:
    from .. import weights

    with reporter.report("Downloading the model") as progress:
        weights.download(step.model, step.pretrained, progress)
    return "the model is here"


def _do(
    step: Step,
    run: Run | None,
    encoder: Callable[[], "CachedEncoder"],
    reporter: Reporter,
) -> str:
    """One step, and a sentence on what came of it."""
    from .. import pipeline
    from ..judges.choose import open_judge
    from ..judges.prompt_book import PromptBook

    if isinstance(step, Download):
        return _download(step, reporter)
    if run is None:
        raise NegRefineError(NO_RUN)
    match step:
        case Mine():
            return f"{len(pipeline.mine(run, encoder(), reporter.report)):,} negatives mined"
        case Refine() | Try():
            judge = open_judge(
                step.judge or run.judge,
                run.settings.wordnet,
                in_flight=step.in_flight,
                rate_limit=step.rate_limit,
                book=PromptBook.of(run),
            )
            if isinstance(step, Try):
                return _try(step, run, judge, encoder, reporter)
            filtered = pipeline.refine(run, encoder(), judge, reporter.report, reporter.wait)
            malformed = sum(verdict.malformed for verdict in filtered.verdicts)
            note = f", {malformed:,} questions without a proper answer: refine again to ask them" if malformed else ""
            return f"{len(filtered.kept):,} negatives kept, {len(filtered.rejected):,} rejected{note}"
        case Score():
            return _score(step, run, encoder(), reporter)
        case DrawMap():
            return _draw_map(step, run, encoder, reporter)
        case Evaluate():
            inside = step.id_set or run.id_set
            outside = [name for name in run.ood_sets if name != inside]
            if not inside and not outside and run.unknown_sets:
                return "no metrics, as it was left open what the pictures show: they come with your marks"
            if not inside:
                return "no metrics: no image set was said to show the ID classes"
            if not outside:
                return "no metrics: no image set was said to show something else (OOD)"
            pipeline.evaluate(run, inside, outside, report=reporter.report)
            return f"metrics of {inside} against {', '.join(outside)}"


def _standard(step: Try, run: Run) -> "Standard":
    from ..judges.trial import read_standard

    return read_standard(run, step.standard)


def _try(step: Try, run: Run, judge: "Judge", encoder: Callable[[], "CachedEncoder"], reporter: Reporter) -> str:
    from .. import pipeline
    from ..judges.decided import needs_model

    model = encoder() if needs_model(run) else None
    found = pipeline.try_judge(run, model, judge, _standard(step, run), reporter.report, reporter.wait)
    alike = found.decided - len(found.disagreements)
    return f"{judge.identity} decides as people did on {alike:,} of {found.decided:,} labels"


def _score(step: Score, run: Run, encoder: "CachedEncoder", reporter: Reporter) -> str:
    from .. import pipeline
    from ..engines.choose import open_engine

    store, start = FeatureStore(encoder.folder / "images", encoder.dim), time.monotonic()
    before = len(store)
    engine = open_engine(step.engine, run, encoder)
    (count,) = pipeline.score(run, encoder, [_pictures(step)], reporter.report, engine=engine)
    if step.role is not None:
        run.set_role(step.image_set, step.role)
    speed = Speed(encoder.fingerprint, count, len(store) - before, time.monotonic() - start, peak_memory())
    reporter.change(speeds=(*reporter.now.speeds, speed))
    skipped = int((run.skipped["image_set"] == step.image_set).sum())
    return f"{count:,} images of {step.image_set} scored" + (f", {skipped:,} skipped as unreadable" if skipped else "")


def _draw_map(step: DrawMap, run: Run, encoder: Callable[[], "CachedEncoder"], reporter: Reporter) -> str:
    from .. import pipeline

    with reporter.report("Drawing the map") as progress:
        if step.image_sets:
            features_of = partial(pipeline.readable_features, run, encoder)
            made = run_maps.draw_images(run, step.image_sets, step.projection, features_of, progress)
            return f"the map of {len(made.rows):,} images is drawn"
        before = Run.open(step.before) if step.before else None
        labels = label_maps.by_model(run, encoder(), before) if step.by == "model" else label_maps.by_questions(run)
        made = label_maps.draw(labels, step.projection, progress)
        return f"the map of {len(made.rows):,} labels is drawn"


def _pictures(step: Score) -> ImageSet:
    """What the step scores. A run's pictures may be a part of their folder, so its own lists say which they are."""
    if step.dataset:
        return find(step.dataset, step.folder).images
    if not step.same_as:
        found = open_image_set(step.folder, step.image_set)
        return found.only(step.class_folders) if step.class_folders else found
    source, name = Run.open(step.same_as), step.image_set
    skipped = source.skipped
    paths = {*source.scores(name, ["path"])["path"], *skipped[skipped["image_set"] == name]["path"]}
    return ImageSet(name, source.image_root(name), tuple(sorted(paths)))


def main(folder: Path) -> int:
    """Exit code 0, or 1 where the job failed."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(STOPPED))  # so that temporary files are taken away
    job = Job(folder)
    job.note_worker()
    os.nice(5)  # the app stays quick beside it
    try:
        work(job)
    except Exception as error:
        said = str(error) if isinstance(error, NegRefineError) else f"{type(error).__name__}: {error}; see {folder}/log"
        print(_without_key(traceback.format_exc()), file=sys.stderr)
        Reporter(job).change(state="failed", error=_without_key(said), ended=time.time())
        return 1
    return 0


def _without_key(text: str) -> str:
    key = os.environ.get(KEY)
    return text.replace(key, "***") if key else text


if __name__ == "__main__":
    code = main(Path(sys.argv[1]))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # all is written: the lock goes now, and not after torch, which takes long where others compute
