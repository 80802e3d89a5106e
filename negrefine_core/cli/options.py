"""What the commands share: options, notes, progress bars, and the question before a question is sent."""

import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from itertools import count
from typing import TYPE_CHECKING, Annotated, ParamSpec

import typer

from .. import paths
from ..errors import NegRefineError
from ..judges.choose import written_judges

if TYPE_CHECKING:  # they import torch and pandas, which take seconds: `--help` should not
    from ..cache import CachedEncoder
    from ..judge import Judge
    from ..judges.cache import CachedJudge
    from ..judges.trial import Standard
    from ..metrics import Convention
    from ..progress import Progress
    from ..runs import Run, Settings

P = ParamSpec("P")
STOPPED = 130  # the exit code of a command that Ctrl-C ended

Name = Annotated[str, typer.Option("--name", help=f"The run's name: its folder is {paths.RUNS}/NAME.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")]
Model = Annotated[
    str,
    typer.Option(
        help="demo, paper, strong or siglip2 (`negrefine models`); open_clip's name, hf-hub:ORG/NAME, local-dir:FOLDER."
    ),
]
Pretrained = Annotated[str | None, typer.Option(help="Weights of an open_clip model: a tag or a checkpoint file.")]
Fraction = Annotated[float, typer.Option(help="Mined share of the nouns and of the adjectives.")]
WordNetFiles = Annotated[
    list[str] | None,
    typer.Option(
        "--wordnet-file",
        help="WordNet's file of words, such as noun.artifact or adj.all, that negatives are mined from; repeat for "
        "more. Default: the paper's 23.",
    ),
]
Workers = Annotated[int, typer.Option(min=1, help="Threads that read images.")]
JudgeName = Annotated[
    str | None,
    typer.Option("--judge", help=f"{written_judges()}. Default: the run's own, wordnet."),
]
JudgeModel = Annotated[str, typer.Option(help="The server's name for the language model.")]
BaseUrl = Annotated[str, typer.Option(help="The judge's server, up to /v1. Default: OPENAI_BASE_URL, or OpenAI's own.")]
Prompts = Annotated[
    str,
    typer.Option(
        "--prompts",
        help="The words in which a language model is asked: paper, glossed (with both words' definitions), examples "
        "(with decisions of yours), or a set of your own (see negrefine prompts). Default: as the judge was asked.",
    ),
]
InFlight = Annotated[int, typer.Option(min=1, help="Labels that are judged at once.")]
RateLimit = Annotated[float | None, typer.Option(min=0.01, help="At most so many questions a minute.")]
Prices = Annotated[
    str | None,
    typer.Option(help="Prices of a million tokens of questions and of replies, as 0.15,0.60, for the estimate."),
]
ConventionName = Annotated[
    str,
    typer.Option("--convention", help="Positive class of the metrics: id (the paper), ood, both, or pytorch-ood."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before questions are sent, or many overrides made.")]

CONVENTIONS: Mapping[str, tuple["Convention", ...]] = {
    "id": ("id-positive",),
    "ood": ("ood-positive",),
    "both": ("id-positive", "ood-positive"),
    "pytorch-ood": ("pytorch-ood",),
}


def conventions(name: str) -> Sequence["Convention"]:
    if name not in CONVENTIONS:
        raise NegRefineError(f"--convention takes {', '.join(CONVENTIONS)}, not {name!r}")
    return CONVENTIONS[name]


def run_encoder(settings: "Settings", id_labels: Sequence[str], device: str) -> "CachedEncoder":
    """The model of a run's settings; ID labels that it cannot read to their end are noted."""
    from .. import weights
    from ..cache import CachedEncoder
    from ..encoder import load_encoder
    from ..labels import NOUN_TEMPLATES, fill

    if not weights.is_here(settings.model, settings.pretrained):
        with progress_bar("Downloading the model") as progress:
            weights.download(settings.model, settings.pretrained, progress)
    encoder = load_encoder(settings.model, settings.pretrained, device)
    longest = max(NOUN_TEMPLATES, key=len)
    too_long = [label for label in id_labels if encoder.is_too_long(fill(longest, label))]
    print_notes(f"in a prompt longer than the model's context, so its end is not read: {label!r}" for label in too_long)
    return CachedEncoder(encoder)


def confirm_questions(
    run: "Run",
    encoder: "CachedEncoder | None",
    judge: "Judge",
    rate_limit: float | None,
    prices: str | None,
    yes: bool,
    standard: "Standard | None" = None,
) -> None:
    """Say what a judge that sends text away would be asked, about the run's negatives or a standard's labels, and what
    that takes; ask before it is sent."""
    from .. import pipeline
    from ..judge import Panel
    from ..judges.cache import CachedJudge
    from ..run_files import batches

    members = judge.members if isinstance(judge, Panel) else [judge]
    senders = [member for member in members if isinstance(member, CachedJudge)]
    if not senders:
        return
    estimate = pipeline.question_estimate(run, encoder, judge, rate_limit, two_prices(prices), standard)
    typer.echo(f"To {' and '.join(sender.identity for sender in senders)}: {estimate}.", err=True)
    if not estimate.questions:
        return
    for sender in senders:
        under_way = sum(sent.questions for sent in batches.under_way(run.path(batches.FILE), sender.identity))
        if under_way:
            print_notes(
                [f"{under_way:,} questions are under way in batches (negrefine judges batch) and would be asked twice"]
            )
    confirm_sending(estimate.examples, senders, yes)


def confirm_sending(examples: Iterable[str], senders: Iterable["CachedJudge"], yes: bool) -> None:
    """Say what text leaves the machine, word for word, and ask."""
    if yes:
        return
    adds = dict.fromkeys(sender.wording.prompts.adds for sender in senders)
    also = "".join(f" with {added}" for added in adds if added)
    typer.echo(
        f"Sent are the negatives and the ID labels, word for word{also}, and nothing else: {' / '.join(examples)}",
        err=True,
    )
    typer.confirm("Send?", abort=True, err=True)


def two_prices(prices: str | None) -> tuple[float, float] | None:
    """Of a million tokens that are sent, and of a million that are received."""
    if not prices:
        return None
    try:
        sent, received = (float(price) for price in prices.split(","))
    except ValueError as error:
        raise NegRefineError(f"--prices takes two numbers such as 0.15,0.60, not {prices!r}") from error
    return sent, received


def keeps(what: str) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """For a long command: ended by Ctrl-C, or by a No before questions are sent, it says what is kept and how to go on.

    Goes below the line that makes it a command.
    """

    def decorate(command: Callable[P, None]) -> Callable[P, None]:
        @wraps(command)
        def stoppable(*args: P.args, **kwargs: P.kwargs) -> None:
            try:
                command(*args, **kwargs)
            except (KeyboardInterrupt, typer.Abort) as stop:
                again = shlex.join(["negrefine", *sys.argv[1:]])
                typer.echo(f"\nStopped. {what} The same command goes on from there:\n\n    {again}", err=True)
                raise typer.Exit(STOPPED if isinstance(stop, KeyboardInterrupt) else 1) from stop

        return stoppable

    return decorate


def numbered_bars(steps: int) -> Callable[[str], AbstractContextManager["Progress"]]:
    """`progress_bar` for work of so many steps: each bar says which of them it is."""
    numbers = count(1)
    return lambda description: progress_bar(f"{next(numbers)} of {steps}: {description}")


def bars_of(part: str) -> Callable[[str], AbstractContextManager["Progress"]]:
    """`progress_bar` for a part of the work: each bar names it."""
    return lambda description: progress_bar(f"{part}: {description}")


@contextmanager
def progress_bar(description: str) -> Iterator["Progress"]:
    """A step's progress on the terminal's error stream, as the pipeline asks for it."""
    from tqdm import tqdm

    with tqdm(desc=f"{description:<32}", unit="", dynamic_ncols=True) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield progress


def print_beside_bar(text: str) -> None:
    """A line on the error stream that leaves a progress bar whole."""
    from tqdm import tqdm

    tqdm.write(text, file=sys.stderr)


def print_contaminated(image_sets: Iterable[str]) -> None:
    """Which of these OOD sets hold images of ID classes."""
    from ..benchmarks.datasets import OF_ID_CLASSES, contaminated

    print_notes(f"{name} holds {OF_ID_CLASSES}, its figures say less" for name in contaminated(image_sets))


def print_notes(notes: Iterable[str]) -> None:
    for note in notes:
        typer.echo(f"Note: {note}", err=True)
