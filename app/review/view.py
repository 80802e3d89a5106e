"""What Review shows, beyond what all pages share."""

from dataclasses import dataclass

from ..shared.view import View, choice, flag, lines

QUEUES = {
    "rejected": "All rejections",
    "unreviewed": "Not reviewed yet",
    "proper": "Proper nouns",
    "subcategory": "Subcategories",
    "same": "Same as an ID class",
    "kept": "Kept by the judge",
    "overridden": "Overridden",
    "all": "Every negative",
}
ORDERS = {
    "suspicion": ("Most doubtful", "suspicion: another judge disagrees, or WordNet or the spelling speaks against it"),
    "unsure": ("Judge least sure", "the language model’s own P(yes), where its server gives log-probabilities"),
    "impact": ("Most images", "impact: of how many images it is, or would be, among the top negatives"),
    "similarity": ("Most like an ID class", "highest CLIP similarity with any ID class, as it was mined"),
    "alphabet": ("A to Z", "by the negative’s name"),
    "mined": ("As mined", "least similar to the ID classes first, nouns before adjectives; or the published order"),
}
CROSSED = {"in": "OOD let in", "lost": "ID lost", "caught": "OOD caught", "won": "ID won back"}  # the threshold
LEVELS = {"class": "By class", "label": "Label by label", "map": "Map of the labels"}
ALL_LABELS = {"search": "", "id_class": "", "chosen": "", "around": "", "label": ""}  # no filter, and no card
PROPER_NOUNS = " "  # the row of the proper nouns: no class is named by white space alone


@dataclass(frozen=True)
class ReviewView(View):
    """`level` is one of `LEVELS`, or empty for the one that suits; `row` is the class that is looked at,
    and `crossed`, one of `CROSSED` or empty for the most, which of the images that flip by it are shown.

    `queue`, `order`, `search` and `id_class` choose the negatives to review, `sample` only some of them, and so do
    `chosen`, the id of a selection on the map, and `around`, an ID class; `label` is the one on the card. `blind` goes
    through them by a person's own decisions alone.
    """

    level: str = choice("", *LEVELS)
    row: str = ""
    crossed: str = choice("", *CROSSED)
    queue: str = choice(*QUEUES)
    order: str = choice(*ORDERS)
    search: str = ""
    id_class: str = ""
    sample: tuple[str, ...] = lines()
    chosen: str = ""
    around: str = ""
    label: str = ""
    blind: bool = flag()
