"""The commands on judges: judges compare, judges try, judges batch."""

import shlex
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import NegRefineError
from ..hyperparameters import IN_FLIGHT
from ..judges.choose import written_judges
from . import tables
from .options import (
    BaseUrl,
    Device,
    InFlight,
    JudgeModel,
    JudgeName,
    Name,
    Prices,
    Prompts,
    RateLimit,
    Yes,
    confirm_questions,
    confirm_sending,
    keeps,
    print_beside_bar,
    print_notes,
    progress_bar,
    run_encoder,
    two_prices,
)

if TYPE_CHECKING:
    import pandas as pd

    from ..judges.batch import Collected
    from ..judges.trial import Standard, Trial
    from ..runs import Run

BETWEEN_LOOKS = 60.0  # seconds

commands = typer.Typer()
judges = typer.Typer(
    no_args_is_help=True, help="Compare judges, try them on labels that people decided, or ask one in batches."
)
commands.add_typer(judges, name="judges")


@judges.command(epilog="Example: negrefine judges compare --name pets wordnet")
def compare(
    name: Name,
    other: Annotated[str, typer.Argument(help="wordnet, or another run, whose judge answered the same questions.")],
    show: Annotated[int, typer.Option(min=0, help="How many doubtful rejections to print.")] = 10,
) -> None:
    """Compare a run's judge with another, and list the rejections that most deserve a second look."""
    from ..judges.agreement import compare_judges, second_opinion, suspicions
    from ..judges.wordnet import WordNetJudge
    from ..lexicon import WordNet
    from ..reference import logged_verdicts
    from ..runs import Run

    current = Run.open(name)
    judge = current.judge
    first = [verdict for verdict in current.verdicts if verdict.judge == judge]
    if other == "wordnet":
        with progress_bar("Asking WordNet") as progress:
            second = second_opinion(WordNetJudge(), first, None, progress)
    else:
        second = logged_verdicts(other)
    for kind in ("proper noun", "subcategory"):
        result = compare_judges((v for v in first if v.kind == kind), (v for v in second if v.kind == kind))
        kappa = "none" if result.kappa is None else f"{result.kappa:.3f}"
        typer.echo(f"\n{kind}: {result.questions:,} questions, agreement {result.agreement:.1%}, kappa {kappa}")
        _print_confusion(result.confusion, judge, other)
    typer.echo("The most doubtful rejections:")
    seconds = [second] if other != "wordnet" else []
    doubtful = suspicions(current.rejections.values(), WordNet(), seconds, current.id_labels)
    for suspicion in doubtful[:show]:
        typer.echo(f"  {suspicion.score:.2f}  {suspicion.why}")


@judges.command(
    "try",
    epilog="""Examples:

    negrefine judges try --name pets --judge wordnet --judge openai:qwen2.5@http://127.0.0.1:8000/v1

    negrefine judges try --name pets --judge openai:qwen2.5@http://127.0.0.1:8000/v1 --prompts paper --prompts glossed

    negrefine judges try --name imagenet-qwen --standard data/published/decisions.csv --judge wordnet
""",
)
@keeps("Every answer so far is in the run's verdicts.jsonl and is not asked for again.")
def try_judges(
    name: Name,
    judge: Annotated[
        list[str] | None,
        typer.Option(help=f"A judge to try; repeat for more. {written_judges()}. Default: the run's own."),
    ] = None,
    prompts: Annotated[
        list[str] | None,
        typer.Option(help="A prompt set to ask the language models in; repeat for more. Default: as each was asked."),
    ] = None,
    standard: Annotated[
        str, typer.Option(help="What people decided: a CSV as `override --export` writes it. Default: the run's own.")
    ] = "",
    show: Annotated[int, typer.Option(min=0, help="How many disagreements of each judge to print.")] = 5,
    judge_model: JudgeModel = "",
    base_url: BaseUrl = "",
    in_flight: InFlight = IN_FLIGHT,
    rate_limit: RateLimit = None,
    device: Device = "auto",
    prices: Prices = None,
    yes: Yes = False,
) -> None:
    """Try judges and prompt sets on labels that people decided, before thousands of questions are asked."""
    from .. import pipeline
    from ..judges.choose import open_judge
    from ..judges.decided import needs_model
    from ..judges.doubts import doubts_of
    from ..judges.prompt_book import PromptBook
    from ..judges.trial import artefacts, read_standard, trial
    from ..lexicon import WordNet
    from ..negfilter import now_and_then
    from ..runs import Run

    current = Run.open(name)
    decided = read_standard(current, standard)
    if decided.unknown:
        print_notes(
            [f"{len(decided.unknown):,} labels are no negatives of this run; the first: {decided.unknown[0]!r}"]
        )
    decided.check()
    book = PromptBook.of(current)
    chosen = [
        open_judge(who, current.settings.wordnet, judge_model, base_url, in_flight, rate_limit, words, book=book)
        for who, words in _pairs(judge or [current.judge], prompts or [])
    ]
    encoder = run_encoder(current.settings, current.id_labels, device) if needs_model(current) else None
    if encoder is None:
        print_notes(
            [
                "each label's questions are those that the published judge was asked, up to its first yes: a judge "
                "that says no to all of these keeps the label"
            ]
        )
    found, failed = [], []
    for asked in {each.identity: each for each in chosen}.values():
        confirm_questions(current, encoder, asked, rate_limit, prices, yes, decided)
        try:
            wait = now_and_then(print_beside_bar)
            found.append(pipeline.try_judge(current, encoder, asked, decided, progress_bar, wait))
        except NegRefineError as error:
            failed.append(f"{asked.identity}: {error}")
            found.append(trial(current, decided, asked.identity))
    _print_trials(current, decided, found, two_prices(prices))
    print_notes(artefacts(current, decided, doubts_of(current, WordNet())))
    for each in found:
        _print_disagreements(each, show)
    if failed:
        raise NegRefineError(f"{'; '.join(failed)}. What was answered is kept, and the same command goes on from there")


@judges.command(
    epilog="""Examples:

    negrefine judges batch --name pets --judge openai --judge-model gpt-4o-mini --prices 0.15,0.60

    negrefine judges batch --name pets --judge openai --judge-model gpt-4o-mini --yes --wait
"""
)
@keeps("Every batch that was sent is noted in the run, and every reply that was fetched is kept.")
def batch(
    name: Name,
    judge: JudgeName = None,
    judge_model: JudgeModel = "",
    base_url: BaseUrl = "",
    prompts: Prompts = "",
    device: Device = "auto",
    prices: Prices = None,
    wait: Annotated[bool, typer.Option(help="Look again each minute, until there is nothing left to ask.")] = False,
    yes: Yes = False,
) -> None:
    """Ask refine's questions through OpenAI's Batch API, at half the price and within a day.

    Each call does what is next, and may be made on another day: it fetches the replies that are there, and sends what
    can be asked now: first whether each label is a proper noun, then all that is left to ask of the others.
    """
    from .. import pipeline
    from ..judges.batch import PRICE, Batches
    from ..judges.choose import open_judge
    from ..judges.prompt_book import PromptBook
    from ..runs import Run

    current = Run.open(name)
    book = PromptBook.of(current)
    chosen = judge or current.judge
    asked = open_judge(chosen, current.settings.wordnet, judge_model, base_url, prompts=prompts, book=book)
    batches = Batches(current, asked)
    paid = two_prices(prices)
    halved = (PRICE * paid[0], PRICE * paid[1]) if paid else None
    encoder = None
    while True:
        collected = batches.collect()
        if _print_collected(collected):
            return
        encoder = encoder or run_encoder(current.settings, current.id_labels, device)
        questions = batches.unsent(pipeline.batch_questions(current, encoder, asked))
        if questions:
            whole = pipeline.question_estimate(current, encoder, asked, prices=halved)
            cost = "" if whole.cost is None else f", {whole.cost:,.2f} at half your prices"
            typer.echo(f"To {asked.identity}: {len(questions):,} questions now, in all {whole.amount}{cost}.", err=True)
            confirm_sending(whole.examples, [batches.judge], yes)
            files = batches.send(questions)
            if not files:
                continue  # the one question was answered at once
            typer.echo(f"Sent, in {files:,} batches. The same command fetches the replies, within 24 hours")
        elif not collected.under_way:
            refine = shlex.join(["negrefine", "refine", "--name", name, "--judge", asked.identity])
            typer.echo(f"Every question is answered, and refine asks nothing more:\n\n    {refine}")
            return
        if not wait:
            return
        time.sleep(BETWEEN_LOOKS)


def _print_collected(collected: "Collected") -> bool:
    """What came of the batches; whether some of it came to nothing, and the person should see that first."""
    if collected.fetched:
        replies = sum(each.replies for each in collected.fetched)
        typer.echo(f"{replies:,} replies fetched from {len(collected.fetched):,} batches")
    if collected.under_way:
        typer.echo(f"{collected.under_way:,} questions are under way, {collected.done:,} of them done")
    failed = [each for each in collected.fetched if each.failed]
    for each in failed:
        malformed = f", {each.malformed:,} of them answered by something else than a reply" if each.malformed else ""
        reason = f": {each.reason}" if each.reason else ""
        print_notes([f"{each.failed:,} requests of a batch came to nothing{malformed}{reason}"])
    if failed:
        print_notes(["the same command sends them again; refine asks them one by one, at the full price"])
    return bool(failed)


def _pairs(judges: Sequence[str], prompts: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(Judge, prompt set): one that is asked in no words is tried once."""
    from ..judge import JudgeIdentity
    from ..judges.choose import JUDGES

    for who in judges:
        kind = JUDGES.get(JudgeIdentity.parse(who).kind)
        for words in prompts if prompts and kind and kind.reads_words else [""]:
            yield who, words


def _print_trials(
    run: "Run", standard: "Standard", found: Sequence["Trial"], prices: tuple[float, float] | None
) -> None:
    """A row a judge; what is undefined is a dash, with a note of why."""
    kept = len(standard.decided) - standard.dropped
    typer.echo(
        f"{len(standard.decided):,} labels that people decided ({standard.name}): {standard.dropped:,} dropped, "
        f"{kept:,} kept. In brackets: 95% intervals. Precision and recall are of rejections."
    )
    figures = [
        "Labels",
        "Agreement",
        "Kappa",
        "Precision",
        "Recall",
        "Questions",
        "Asked now",
        "Unclear",
        "Reply seconds",
    ]
    shown = tables.table(["Judge"], [*figures, *(["Cost"] if prices else [])])
    notes: dict[str, None] = {}
    for each in found:
        cost = each.cost(prices)
        shown.add_row(
            run.short_judge_name(each.judge),
            f"{each.decided:,}" if each.is_whole else f"{each.decided:,} of {each.labels:,}",
            tables.share(each.agreement),
            tables.kappa(each.kappa),
            tables.share(each.precision),
            tables.share(each.recall),
            f"{each.questions:,}",
            f"{each.asked:,}",
            f"{each.unclear:,}",
            f"{each.seconds:,.1f}",
            *([] if cost is None else [f"{cost:,.4f}"]),
        )
        notes |= {
            f"{name}: {figure.why}": None
            for name, figure in (("kappa", each.kappa), ("precision", each.precision), ("recall", each.recall))
            if figure.why
        }
    tables.show(shown)
    print_notes(notes)


def _print_disagreements(found: "Trial", most: int) -> None:
    from ..judge import JudgeIdentity

    if not found.disagreements or not most:
        return
    typer.echo(f"\n{JudgeIdentity.parse(found.judge).short} decides otherwise on {len(found.disagreements):,} labels:")
    for each in found.disagreements[:most]:
        asked = f"{each.verdict.kind} of {each.verdict.id_label}" if each.verdict.id_label else each.verdict.kind
        said = f"{each.verdict.reply[:60]!r} to {asked}"
        typer.echo(f"  {each.label}: {each.people} by people, {each.judge} by the judge ({said})")


def _print_confusion(confusion: "pd.DataFrame", judge: str, other: str) -> None:
    """How often each pair of answers was given: a row an answer of `judge`, a column one of `other`."""
    shown = tables.table([judge], [f"{other}: {answer}" for answer in confusion.columns])
    for answer, counts in confusion.iterrows():
        shown.add_row(str(answer), *(f"{count:,}" for count in counts))
    tables.show(shown)
