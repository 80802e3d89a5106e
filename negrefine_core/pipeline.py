"""The steps of a run, each one arrow: labels -> mined negatives -> verdicts -> negatives -> scores -> metrics."""

import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from . import lexicon, methods, metrics, mining
from .cache import CachedEncoder
from .detector import DetectorConfig, NegRefineDetector
from .effects import Effects
from .embedding import all_features, embed_images
from .encoder import pick_device, precision
from .engines import Engine, Scored
from .engines.local import LocalEngine
from .errors import NegRefineError
from .hyperparameters import WORKERS
from .image_sets import ImageSet
from .judge import Judge, JudgeIdentity, Panel, Question, Reply
from .judges import prompt_book
from .judges.cache import CachedJudge
from .judges.estimate import LATENCY, Estimate, estimate, next_questions, together
from .judges.trial import Standard, Trial, trial, trial_chains
from .labels import (
    ADJECTIVE_TEMPLATES,
    NEGLABEL_ADJECTIVE_TEMPLATES,
    NEGLABEL_NOUN_TEMPLATES,
    NOUN_TEMPLATES,
    SKETCH_TEMPLATES,
)
from .methods import Negatives
from .metrics import Convention, Measured
from .mining import Negative
from .negfilter import Filtered, NegFilter, OnWait, Verdict, judge_chains
from .overrides import judged_negatives, write_final_negatives
from .pictures import belonging, scored_features
from .progress import Progress, in_turn
from .records import Subject
from .run_files.info import ModelInfo, ScoredWith
from .run_files.metrics import Figures, Metrics
from .run_files.parts import Parts
from .runs import Run, class_list_hash
from .scorers import DetectorParts, Recipe

Report = Callable[[str], AbstractContextManager[Progress]]  # opens a progress bar for a step


def silent(_: str) -> AbstractContextManager[Progress]:
    return nullcontext(lambda done, total: None)


def noun_templates(run: Run) -> tuple[str, ...]:
    return SKETCH_TEMPLATES if run.settings.sketch_templates else NOUN_TEMPLATES


def candidates(run: Run) -> lexicon.Candidates:
    """The words that the run's negatives are mined from."""
    settings = run.settings
    return lexicon.candidates(
        run.id_labels,
        seed=settings.seed,
        word_filter=settings.word_filter,
        noun_files=settings.noun_files,
        adjective_files=settings.adjective_files,
        first_lemmas=None if settings.wordnet == "bundled" else lexicon.WordNet(settings.wordnet).first_lemmas(),
    )


def mine(run: Run, encoder: CachedEncoder, report: Report = silent) -> list[Negative]:
    """ID labels -> `initial_negatives.csv`, and the NegLabel baseline's own `neglabel_negatives.csv`."""
    settings, words = run.settings, candidates(run)
    templates = noun_templates(run)
    with run.doing("mine"):
        with report("Mining the negatives") as progress:
            ours, neglabels = in_turn(progress, mining.prompts(words, templates))
            negatives = mining.mine_negatives(encoder, run.id_labels, words, settings.fraction, templates, ours)
            baseline = mining.mine_neglabel_negatives(encoder, run.id_labels, words, settings.fraction, neglabels)
        with run.locked():
            run.update_info(
                model=ModelInfo(name=encoder.name, fingerprint=encoder.fingerprint, precision=encoder.precision),
                device=encoder.device,
            )
            run.write_neglabel_negatives(baseline)
            run.write_initial_negatives(negatives)
    return negatives


def refine(
    run: Run, encoder: CachedEncoder, judge: Judge, report: Report = silent, on_wait: OnWait | None = None
) -> Filtered:
    """Mined negatives -> `verdicts.jsonl` -> `negatives.csv`. Questions this judge has answered are not asked again.

    `on_wait` is told of a server that does not answer; without it that is logged.
    """
    check_model(run, encoder)
    with run.doing("refine"):
        _keep_prompts(run, judge)
        known = run.verdicts
        with run.verdict_log() as log, report("Judging the negatives") as progress:
            filtered = NegFilter(judge, encoder).run(
                run.initial_negatives, run.id_labels, known, on_verdict=log.append, progress=progress, on_wait=on_wait
            )
        if not filtered.kept:
            raise NegRefineError("the judge rejected every negative; nothing is left to score with")
        with run.locked():
            run.note_judge(judge.identity)
            write_final_negatives(run)
    return filtered


def try_judge(
    run: Run,
    encoder: CachedEncoder | None,
    judge: Judge,
    standard: Standard,
    report: Report = silent,
    on_wait: OnWait | None = None,
) -> Trial:
    """A judge on labels that people decided -> `verdicts.jsonl`, and how far it decides alike; who decides in the run
    stays as it is. Questions this judge has answered are not asked again, then or when it refines the run.

    Raises NegRefineError where too few labels are decided.
    """
    standard.check()
    if encoder:
        check_model(run, encoder)
    with run.doing("refine"):
        _keep_prompts(run, judge)
        chains = trial_chains(run, standard.decided, encoder)
        kept = _kept_replies(judge, chains)
        asked = 0
        with run.verdict_log() as log, report(f"Trying {JudgeIdentity.parse(judge.identity).short}") as progress:

            def on_verdict(verdict: Verdict) -> None:
                nonlocal asked
                log.append(verdict)
                is_asked = verdict.kind != "same" and not (isinstance(judge, Panel) and verdict.judge == judge.identity)
                asked += is_asked and (verdict.judge, verdict.subject) not in kept

            judge_chains(judge, chains, run.verdicts, on_verdict, progress, on_wait)
    return replace(trial(run, standard, judge.identity), asked=asked)


def _keep_prompts(run: Run, judge: Judge) -> None:
    for each in _each(judge):
        wording = getattr(each, "wording", None)  # WordNet and a log are asked in no words
        if wording:
            prompt_book.keep(run, wording.prompts)


def _kept_replies(judge: Judge, chains: Iterable[Sequence[Question]]) -> set[tuple[str, Subject]]:
    """(who, what) of the replies that were given in other runs, and are in the cache."""
    questions = [question for chain in chains for question in chain]
    cached = (each for each in _each(judge) if isinstance(each, CachedJudge))
    return {(each.identity, subject) for each in cached for subject in each.cached(questions)}


def check_model(run: Run, encoder: CachedEncoder) -> None:
    """Raise where the run was made with other weights: labels and scores of two models do not go together."""
    model = run.info.model
    if model and model.precision == encoder.precision and model.fingerprint != encoder.fingerprint:
        raise NegRefineError(
            f"the run {run.name!r} was mined with other weights of {model.name!r} than the model has now; "
            "start a new run, or give the model it was made with"
        )


def _each(judge: Judge) -> Sequence[Judge]:
    """The judges that are asked: a panel's members, or the one."""
    return judge.members if isinstance(judge, Panel) else [judge]


def batch_questions(run: Run, encoder: CachedEncoder | None, judge: Judge) -> list[Question]:
    """What this judge can be asked at once of what `refine` would ask it."""
    chains = trial_chains(run, {negative.label for negative in run.reviewable}, encoder)
    return next_questions(chains, {subject: reply.answer for subject, reply in _answered(run, chains, judge).items()})


def question_estimate(
    run: Run,
    encoder: CachedEncoder | None,
    judge: Judge,
    rate: float | None = None,
    prices: tuple[float, float] | None = None,
    standard: Standard | None = None,
) -> Estimate:
    """What `refine` with this judge would ask, cost and send, or `try_judge` on a standard, before it asks anything; of
    a panel, what those of its members would be sent that send text away, if it has any."""
    labels = standard.decided if standard else {negative.label for negative in run.reviewable}
    chains = trial_chains(run, labels, encoder)
    if not isinstance(judge, Panel):
        return _estimate(run, chains, judge, rate, prices)
    said = _said(run, judge)
    chains = [_to_first_yes(chain, said) for chain in chains]
    senders = [member for member in judge.members if isinstance(member, CachedJudge)] or judge.members[:1]
    return together([_estimate(run, chains, member, rate, prices, is_member=True) for member in senders])


def _estimate(
    run: Run,
    chains: Sequence[Sequence[Question]],
    judge: Judge,
    rate: float | None,
    prices: tuple[float, float] | None,
    is_member: bool = False,
) -> Estimate:
    known = _answered(run, chains, judge)
    answers = {subject: reply.answer for subject, reply in known.items()}
    wording = judge.wording if isinstance(judge, CachedJudge) else None
    latencies = [
        reply.latency
        for (_, kind, _), reply in known.items()
        if kind != "same" and (reply.latency or not wording)  # a batch's replies have none
    ]
    latency = statistics.median(latencies) if latencies else LATENCY
    return estimate(chains, answers, judge.concurrency, rate, latency, prices, wording, yes_ends=not is_member)


def _answered(run: Run, chains: Iterable[Sequence[Question]], judge: Judge) -> dict[Subject, Verdict | Reply]:
    """What this judge has answered, in the run or of these questions in another, by what it was asked."""
    known: dict[Subject, Verdict | Reply] = {**_said(run, judge)}
    if isinstance(judge, CachedJudge):
        known |= judge.cached(question for chain in chains for question in chain)
    return known


def _said(run: Run, judge: Judge) -> dict[Subject, Verdict]:
    """What this judge has said in the run, by what it was asked; what its server said instead is asked for again."""
    said = (verdict for verdict in run.verdicts if verdict.judge == judge.identity and not verdict.malformed)
    return {verdict.subject: verdict for verdict in said}


def _to_first_yes(chain: Sequence[Question], said: Mapping[Subject, Verdict]) -> list[Question]:
    """The questions that are still asked: up to one that is known to be answered yes."""
    answers = [said[question.subject].answer if question.subject in said else "" for question in chain]
    return list(chain[: answers.index("yes") + 1] if "yes" in answers else chain)


def detector(run: Run, encoder: CachedEncoder, negatives: Sequence[Negative] | None = None) -> NegRefineDetector:
    """The run's detector, with its final negatives or with those given."""
    check_model(run, encoder)
    return _parts(run, run.negatives if negatives is None else negatives).detector(encoder, tuple(run.id_labels))


def _parts(run: Run, negatives: Sequence[Negative], kind: Negatives = "refined") -> DetectorParts:
    """A detector of the run's with these negatives; with the baseline's own templates where they are NegLabel's."""
    settings, stored = run.settings, run.info.permutation
    is_baseline = kind == "neglabel"
    config = DetectorConfig(
        alpha=settings.alpha,
        top_k=settings.top_k,
        n_groups=settings.n_groups,
        mcm_temperature=settings.mcm_temperature,
        noun_templates=NEGLABEL_NOUN_TEMPLATES if is_baseline else noun_templates(run),
        adjective_templates=NEGLABEL_ADJECTIVE_TEMPLATES if is_baseline else ADJECTIVE_TEMPLATES,
    )
    nouns, adjectives = (tuple(n.label for n in negatives if n.pos == pos) for pos in ("noun", "adjective"))
    is_final = not is_baseline and negatives == run.negatives
    return DetectorParts(nouns, adjectives, config, stored if is_final else None)


def recipe(run: Run) -> Recipe:
    """What the run's images are scored by."""
    lists = _lists(run)
    refined = _parts(run, lists.pop("refined"))
    others = {kind: _parts(run, negatives, kind) for kind, negatives in lists.items()}
    return Recipe(tuple(run.id_labels), refined, others)


def _lists(run: Run) -> dict[Negatives, list[Negative]]:
    """The negatives that the run's methods compare with, as far as it has them."""
    found: dict[Negatives, list[Negative]] = {"refined": run.negatives, "mined": run.initial_negatives}
    if run.has_neglabel:  # an imported run has none
        found["neglabel"] = run.neglabel_negatives
    judged = judged_negatives(run) if run.overrides else found["refined"]
    if judged and judged != found["refined"]:
        found["judged"] = judged
    return found


def image_features(run: Run, encoder: CachedEncoder, images: pd.DataFrame) -> torch.Tensor:
    """(B, D) features of the pictures in a scored table (columns `image_set` and `path`), from the cache or new.

    Raises NegRefineError where the run is another model's, or a picture can no longer be read.
    """
    check_model(run, encoder)
    features = torch.empty(len(images), encoder.dim)  # (B, D)
    for name, rows in images.reset_index(drop=True).groupby("image_set", sort=False):
        image_set = ImageSet(str(name), run.image_root(str(name)), tuple(rows["path"]))
        for chunk in embed_images(encoder, image_set):
            if chunk.skipped:
                i, reason = chunk.skipped[0]
                raise NegRefineError(f"{rows['path'].iloc[i]!r} in {image_set.root}: {reason}; score {name} again")
            features[torch.from_numpy(rows.index.to_numpy()[chunk.indices])] = chunk.features
    return features


def readable_features(
    run: Run, encoder: Callable[[], CachedEncoder], image_set: str, files: Sequence[str], wanted: np.ndarray
) -> tuple[np.ndarray, torch.Tensor]:
    """(Which of the wanted rows of a scored set with these files have features (n,), the features (n, D)).

    They are those that were scored, also where a file is another by now, if the scores say what the files held and the
    cache has all of them: then no picture is read and no model is asked for. Else they are of the files as they are,
    from the cache or new, without those that cannot be read. Raises NegRefineError where the run is another model's.
    """
    made_by = run.info.model
    if made_by and made_by.precision == precision(pick_device("auto")):  # as the model has it here
        scored = scored_features(run, image_set, files, wanted)
        if scored is not None:
            return wanted, torch.from_numpy(scored)
    model = encoder()
    check_model(run, model)
    rows = wanted[belonging(run, image_set, [files[row] for row in wanted])]
    pictures = ImageSet(image_set, run.image_root(image_set), tuple(files[row] for row in rows))
    kept, features = all_features(model, pictures)
    return rows[kept], features


def effects(
    run: Run, encoder: CachedEncoder, images: pd.DataFrame, negatives: Sequence[Negative] | None = None
) -> Effects:
    """What dropping or restoring a negative does to the images of a scored table, in its order."""
    return Effects(detector(run, encoder, negatives), image_features(run, encoder, images))


def score(
    run: Run,
    encoder: CachedEncoder,
    image_sets: Sequence[ImageSet],
    report: Report = silent,
    workers: int = WORKERS,
    engine: Engine | None = None,
) -> list[int]:
    """Image sets -> `scores/IMAGE_SET.parquet` and their lines of `skipped.csv`, with every method's score.

    `mined_labels` are the top 5 of all that was mined: what pulls an image without the filter. Where overrides change
    the negatives, `negrefine_judged` is NegRefine's score with the verdicts alone.
    Returns how many images of each were scored. Scores go to disk as they come: memory does not grow with the set.
    The work is done by this machine, or by the engine.
    """
    check_model(run, encoder)
    with run.locked():  # one state of the run: a decision may come at any moment
        scored_with = ScoredWith(
            negatives=class_list_hash(negative.label for negative in run.negatives), overrides=run.info.overrides
        )
        scored_by = recipe(run)
    engine = engine or LocalEngine(encoder, workers)
    counts = []
    for image_set in image_sets:
        skipped: list[tuple[str, str]] = []
        with run.doing(f"score {image_set.name}"), report(f"Scoring {image_set.name}") as progress:
            tables = _tables(engine.score(image_set, scored_by, progress), skipped)
            counts.append(run.write_scores(image_set.name, image_set.root, tables, scored_with, skipped))
            Parts(run.path("parts") / image_set.name).remove()
        if not counts[-1]:
            raise NegRefineError(
                f"none of the {len(image_set)} images of {image_set.name} could be read; the first, "
                f"{skipped[0][0]}: {skipped[0][1]}"
            )
    return counts


def _tables(pieces: Iterable[Scored], skipped: list[tuple[str, str]]) -> Iterator[pd.DataFrame]:
    """The pieces' tables; the (path, reason) of unreadable images are added to `skipped`."""
    for piece in pieces:
        skipped += piece.skipped
        yield piece.table


_CONVENTIONS: Mapping[Convention, str] = {
    "id-positive": "ID is the positive class; higher score = more ID",
    "ood-positive": "OOD is the positive class of FPR@95; higher score = more ID",
    "pytorch-ood": "as pytorch-ood measures, OOD is the positive class of FPR@95; higher score = more ID",
}


def evaluate(
    run: Run, id_set: str, ood_sets: Sequence[str], n_bootstrap: int = 1000, report: Report = silent
) -> Metrics:
    """Scores -> `metrics.json`: each method's metrics on each OOD set and their average, with bootstrap intervals."""
    written = measure(run, id_set, ood_sets, "id-positive", n_bootstrap, report)
    run.write_metrics(written)
    return written


def measure(
    run: Run,
    id_set: str,
    ood_sets: Sequence[str],
    convention: Convention,
    n_bootstrap: int = 1000,
    report: Report = silent,
) -> Metrics:
    """The same by any convention, and written nowhere: what reads `metrics.json` takes ID for the positive class."""
    if not ood_sets:
        raise NegRefineError("metrics need at least one OOD image set beside the ID set")
    names = (id_set, *ood_sets)
    rows = methods.measured(*(run.score_columns(name) for name in names))
    columns = [row.column for row in rows]
    tables = {name: run.scores(name, columns) for name in names}
    parts = [table.assign(image_set=name, is_id=name == id_set) for name, table in tables.items()]
    with report("Computing the metrics") as progress:
        found = metrics.evaluate(pd.concat(parts), columns, convention, n_bootstrap, progress)
    return {
        "convention": _CONVENTIONS[convention],
        "id_set": id_set,
        "images": {name: len(table) for name, table in tables.items()},
        "scores": {name: info.check for name in tables if (info := run.scores_info(name))},
        "methods": {
            row.name: {each.ood_set: _figures(each) for each in found if each.column == row.column} for row in rows
        },
    }


def _figures(measured: Measured) -> Figures:
    """One line of `metrics.json`, in its order there."""
    intervals = measured.intervals
    if measured.threshold95 is None:  # the average
        return {
            "auroc": measured.auroc,
            "fpr95": measured.fpr95,
            "aupr_in": measured.aupr_in,
            "aupr_out": measured.aupr_out,
            "auroc_interval": intervals["auroc_interval"],
            "fpr95_interval": intervals["fpr95_interval"],
        }
    return {
        "auroc": measured.auroc,
        "aupr_in": measured.aupr_in,
        "aupr_out": measured.aupr_out,
        "fpr95": measured.fpr95,
        "threshold95": measured.threshold95,
        "auroc_interval": intervals["auroc_interval"],
        "fpr95_interval": intervals["fpr95_interval"],
    }
