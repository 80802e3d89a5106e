"""What the command line's modules share: options, notes, progress bars, and the question before a question is sent."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from ..errors import NegRefineError

Name = Annotated[str, typer.Option("--name", help="The run's name: its folder is data/runs/NAME.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")]
Model = Annotated[
    str, typer.Option(help="demo, paper, strong; or open_clip's name, hf-hub:ORG/NAME, local-dir:FOLDER.")
]
Pretrained = Annotated[str | None, typer.Option(help="Weights of an open_clip model: a tag or a checkpoint file.")]
JudgeName = Annotated[
    str | None,
    typer.Option("--judge", help="wordnet (offline), openai (any OpenAI-compatible server; its key comes from "
                                 "OPENAI_API_KEY), or replay:RUN, replay:FOLDER. Default: the run's own, wordnet."),
]  # fmt: skip
JudgeModel = Annotated[str, typer.Option(help="The server's name for the language model.")]
BaseUrl = Annotated[str, typer.Option(help="The judge's server, up to /v1. Default: OPENAI_BASE_URL, or OpenAI's own.")]
InFlight = Annotated[int, typer.Option(min=1, help="Labels that are judged at once.")]
RateLimit = Annotated[float | None, typer.Option(min=0.01, help="At most so many questions a minute.")]
Prices = Annotated[
    str | None,
    typer.Option(help="Prices of a million tokens of questions and of replies, as 0.15,0.60, for the estimate."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before questions are sent, or many overrides made.")]
Workers = Annotated[int, typer.Option(min=1, help="Threads that read images.")]


def open_run(name: str) -> Any:
    from ..runs import Run

    return Run.open(name)


def run_encoder(settings: Any, id_labels: Sequence[str], device: str) -> Any:
    from ..cache import CachedEncoder
    from ..encoder import load_encoder
    from ..labels import NOUN_TEMPLATES, fill

    encoder = load_encoder(settings.model, settings.pretrained, device)
    template = max(NOUN_TEMPLATES, key=len)
    long = [label for label in id_labels if encoder.is_too_long(fill(template, label))]
    print_notes([f"in a prompt longer than the model's context, so its end is not read: {label!r}" for label in long])
    return CachedEncoder(encoder)


def confirm_questions(
    current: Any, encoder: Any, judge: Any, rate_limit: float | None, prices: str | None, yes: bool
) -> None:
    """Say what a judge that sends text away would be asked, and what that takes; ask before it is sent."""
    from .. import pipeline
    from ..judges.cache import CachedJudge

    if not isinstance(judge, CachedJudge):
        return
    try:
        sent, received = (float(price) for price in prices.split(",")) if prices else (0.0, 0.0)
    except ValueError as error:
        raise NegRefineError(f"--prices takes two numbers such as 0.15,0.60, not {prices!r}") from error
    estimate = pipeline.question_estimate(current, encoder, judge, rate_limit, (sent, received) if prices else None)
    typer.echo(f"To {judge.identity}: {estimate}.", err=True)
    if estimate.questions and not yes:
        typer.echo("Sent are the negatives and the ID labels, word for word, and nothing else: " +
                   " / ".join(estimate.examples), err=True)  # fmt: skip
        typer.confirm("Send?", abort=True, err=True)


@contextmanager
def progress_bar(description: str) -> Iterator[Any]:
    from tqdm import tqdm

    with tqdm(desc=f"{description:<28}", unit="", dynamic_ncols=True) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield progress


def print_notes(notes: Any) -> None:
    for note in notes:
        typer.echo(f"Note: {note}", err=True)
