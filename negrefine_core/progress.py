"""How far work is: the callback that each step takes, and one bar over several pieces of work in turn."""

from collections.abc import Callable, Sequence

Progress = Callable[[int, int], None]  # (done, total); an exception raised in it stops the work


def in_turn(progress: Progress | None, sizes: Sequence[int]) -> list[Progress | None]:
    """The callbacks of pieces of work that follow each other, all told to one bar on which each is of its size."""
    return [_piece(progress, sum(sizes[:place]), size, sum(sizes)) for place, size in enumerate(sizes)]


def _piece(progress: Progress | None, before: int, size: int, all_together: int) -> Progress | None:
    if progress is None:
        return None
    tell = progress
    return lambda done, total: tell(before + size * done // max(1, total), all_together)
