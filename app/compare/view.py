"""What Compare shows, beyond what all pages share."""

from dataclasses import dataclass

from negrefine_core.methods import DEFAULT

from ..shared.view import View, choice

MODES = {"methods": "Two methods", "runs": "Two runs", "judges": "Two judges"}
FLIPS = {
    "fixed": ("Fixed", "Wrong by the first, right by the second."),
    "broken": ("Broken", "Right by the first, wrong by the second."),
    "wrong": ("Still wrong", "Wrong by both."),
    "right": ("Still right", "Right by both."),
}
CROSSINGS = {
    "gained": ("Only by the second", "Taken for one of your classes by the second side, and not by the first."),
    "lost": ("Only by the first", "Taken for one of your classes by the first side, and not by the second."),
    "in": ("By both", "Taken for one of your classes by both sides."),
    "out": ("By neither", "Taken for none of your classes by both sides."),
}


@dataclass(frozen=True)
class CompareView(View):
    """`first` and `second` are the scores compared, `other` the first side's run, `judge` and `other_judge` the judges.

    `flip` says which images are shown and `differ` what of both sides; `find` searches what differs in words.
    """

    compare: str = choice(*MODES)
    first: str = ""
    second: str = DEFAULT
    other: str = ""
    judge: str = ""
    other_judge: str = ""
    flip: str = choice(*FLIPS, *CROSSINGS)
    differ: str = choice("pictures", "labels", "answers")
    find: str = ""
