"""The command line, `negrefine --help`: the commands lie in modules by kind."""

import typer

from ..errors import NegRefineError
from . import decisions, explorer, judges, prompts, research, reviews, sorting, steps

app = typer.Typer(
    name="negrefine",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="""Zero-shot out-of-distribution detection with CLIP (NegRefine, ICCV 2025).

Everything on the bundled model and pictures, then a look at it in the browser:

    negrefine run && negrefine app

Your own classes and pictures, with the paper's model:

    negrefine run --name pets --model paper --id-images photos/pets --ood photos/other

Step by step:

    negrefine mine --name pets --id-labels pets.txt && negrefine refine --name pets

    negrefine score --name pets photos/pets && negrefine score --name pets photos/other

    negrefine evaluate --name pets --id pets --ood other
""",
)
for module in (steps, explorer, sorting, decisions, reviews, judges, prompts, research):
    app.add_typer(module.commands)


def main() -> None:
    """Run the command line; an error that a user can act on is one line, without a traceback."""
    try:
        app(prog_name="negrefine")
    except OSError as error:  # what no step has put into words of its own
        where = f" {error.filename}" if error.filename else ""
        typer.secho(
            f"Error: {error.strerror or error}{where}; everything finished is kept", err=True, fg=typer.colors.RED
        )
        raise SystemExit(1) from error
    except NegRefineError as error:
        typer.secho(f"Error: {error}", err=True, fg=typer.colors.RED)
        raise SystemExit(1) from error
