"""Which of the scored images a view looks at: what it searches for, and the selection that it has chosen."""

from negrefine_core import selections
from negrefine_core.errors import NegRefineError
from negrefine_core.runs import Run

from . import errors
from .scored_images import ScoredImages
from .search import similarities
from .view import View


def looked_at(run: Run, view: View, images: ScoredImages) -> ScoredImages | None:
    """The images, of which those that are searched for and selected are looked at alone; what cannot be searched for or
    is not there is said, and leaves all. None and a sign of waiting until they are found."""
    found: ScoredImages | None = images
    try:
        if view.is_search:
            near = similarities(run, images.sets.names, view.words.strip(), view.like)
            found = (
                None if near is None else images.nearest(near, int(view.nearest) if view.nearest.isdigit() else None)
            )
        if view.selection and found is not None:
            found = found.only(selections.chosen(found.table, selections.read(run, view.selection)))
    except NegRefineError as error:
        errors.show(error, "warning")
    return found
