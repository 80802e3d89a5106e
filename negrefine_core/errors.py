"""The one error that users meet: its message says what is wrong, where, and what to do."""


class NegRefineError(Exception):
    """Raised by the core for anything a user can put right; printed as it is by the CLI and the app."""


class Cancelled(NegRefineError):  # noqa: N818 - a decision, not a fault
    """Raised from a progress callback to stop long work; everything finished so far is kept."""
