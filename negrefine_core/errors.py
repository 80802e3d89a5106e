"""The one error that users meet: its message says what is wrong, where, and what to do."""


class NegRefineError(Exception):
    """Raised by the core for anything a user can put right; printed as it is by the CLI, the app and notebooks."""

    def _render_traceback_(self) -> list[str]:
        """What IPython prints: the message says what to do, the lines of the core's files would not."""
        return [f"{type(self).__name__}: {self}"]


class Cancelled(NegRefineError):  # noqa: N818 - a decision, not a fault
    """Raised from a progress callback to stop long work; everything finished so far is kept."""


class UnfinishedError(NegRefineError):
    """A step of the run has to be done, or done to its end, first."""


class UnknownIdSetError(NegRefineError):
    """Nobody has said which image set shows the ID classes, so there are no figures; the app asks."""
