"""ID class lists and the prompts that turn a label into text (paper, section 4.1 and its prompt list)."""

import random
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from . import paths
from .errors import NegRefineError

NOUN_TEMPLATES = (
    "a close-up photo of the nice {}.",
    "a photo with the nice {}.",
    "a good photo with the nice {}.",
    "a photo of the nice {}.",
    "{}",
    "the {}",
    "the good {}",
    "the nice {}",
)
ADJECTIVE_TEMPLATES = ("{}", "a nice photo of {}", "a good photo of {}", "a close-up photo of {}")
SKETCH_TEMPLATES = ("a sketch of a {}", "a sketch of the {}", *NOUN_TEMPLATES)  # for ImageNet-Sketch
BARE = ("{}",)
PAPER_FORM = "-paper"  # ends the name of a class list that keeps the published one's defects
NEGLABEL_NOUN_TEMPLATES = ("the nice {}",)  # the NegLabel baseline: one template a kind
NEGLABEL_ADJECTIVE_TEMPLATES = ("This is a {} photo",)

ADJECTIVE_PHRASES = (
    "environment", "space", "object", "scene", "place", "item", "area",
    "view", "thing", "pattern", "structure", "landscape", "vista", "creature",
)  # fmt: skip


def fill(template: str, label: str) -> str:
    """Put a label into a template (not `str.format`: a label may itself hold braces)."""
    return template.replace("{}", label)


def adjective_phrase(adjective: str, seed: int) -> str:
    """`gooey` -> `gooey landscape`: one of the 14 phrases, drawn for each adjective from the run's seed.

    The draw depends on the seed and the word alone, so that one more ID class does not redraw every phrase.
    """
    generator = random.Random(f"{seed}:{adjective}")  # noqa: S311 - a seeded draw, not a secret
    return f"{adjective} {generator.choice(ADJECTIVE_PHRASES)}"


def label_list(labels: Iterable[str]) -> list[str]:
    """The labels as a list. Raises NegRefineError for one text, which Python would take for a list of letters."""
    if isinstance(labels, str):
        raise NegRefineError(f"give the ID labels as a list, such as [{labels[:40]!r}], and not as one text")
    return list(labels)


@dataclass(frozen=True)
class ClassList:
    """ID labels in their given order, and what was mended on the way, in words for the user."""

    labels: tuple[str, ...]
    notes: tuple[str, ...] = ()


def visible(name: str) -> str:
    """A name as it reads, in Unicode's composed form: white space of any kind is one space, and what cannot be seen
    (control, format, unassigned) is gone: two names that look alike are one.
    """
    seen = "".join(c if c.isprintable() else " " for c in name if c.isprintable() or c.isspace())
    return unicodedata.normalize("NFC", " ".join(seen.split()))


def has_hidden(name: str) -> bool:
    """Whether a name holds characters that cannot be seen, white space apart."""
    return any(not c.isprintable() and not c.isspace() for c in name)


def clean_class_list(lines: list[str], source: str = "the class list") -> ClassList:
    """Strip names, drop blanks and case-insensitive duplicates (noted), keep the order.

    Raises NegRefineError when no name is left.
    """
    labels: dict[str, str] = {}
    blanks, hidden, duplicates = 0, 0, []
    for line in lines:
        name = visible(line)
        hidden += has_hidden(line)
        if not name:
            blanks += 1
        elif name.casefold() in labels:
            duplicates.append(name)
        else:
            labels[name.casefold()] = name
    if not labels:
        raise NegRefineError(f"{source} holds no class names; write one ID class a line, for example 'red fox'")
    notes = []
    if blanks:
        notes.append(f"blank lines left out: {blanks}")
    if hidden:
        notes.append(f"names with invisible characters, which were taken out: {hidden}")
    if duplicates:
        shown = ", ".join(repr(name) for name in duplicates[:5]) + (" ..." if len(duplicates) > 5 else "")
        notes.append(f"duplicates left out: {len(duplicates)} ({shown})")
    return ClassList(tuple(labels.values()), tuple(notes))


def class_list_presets() -> list[str]:
    """Names that `read_class_list` takes in place of a file."""
    return sorted(path.stem for path in paths.LABELS.glob("*.txt"))


def read_class_list(source: str | Path) -> ClassList:
    """Read ID labels, one a line in UTF-8, from a text file or by a preset's name.

    A preset's paper form (`imagenet-a-paper`) is taken as it is, duplicates and all: parity keeps its defects.

    Raises NegRefineError for a missing, unreadable or empty file.
    """
    path = Path(source)
    is_preset = str(source) in class_list_presets() and not path.exists()
    try:
        if is_preset:
            path = paths.LABELS / f"{source}.txt"
        text = path.expanduser().read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise NegRefineError(f"{path} is not UTF-8 text (byte {error.start}); save the class list as UTF-8") from error
    except (OSError, RuntimeError) as error:  # RuntimeError: the home folder of an unknown user
        reason = error.strerror if isinstance(error, OSError) else error
        raise NegRefineError(
            f"cannot read the class list {source} ({reason}); give a text file with one class a line, "
            f"or a preset: {', '.join(class_list_presets())}"
        ) from error
    if is_preset and str(source).endswith(PAPER_FORM):
        return ClassList(tuple(text.splitlines()))
    return clean_class_list(text.splitlines(), str(source))
