"""Class names out of what a person brings: pasted text, or an uploaded file that may be anything."""

import csv

from negrefine_core.errors import NegRefineError

from .problems import trimmed

MAX_BYTES = 1_000_000
MAX_NAMES = 10_000
HEADERS = {"class", "classes", "class_name", "class name", "name", "label", "labels", "id_label"}


def from_text(text: str) -> list[str]:
    """One class a line; a single line with commas is taken as a list.

    Raises NegRefineError when there are no names, or too many.
    """
    lines = text.splitlines()
    if len([line for line in lines if line.strip()]) == 1 and "," in text:
        lines = text.split(",")
    return _checked([line.strip() for line in lines], "The text")


def from_file(name: str, data: bytes) -> list[str]:
    """The names of a text file with one a line, or of a CSV file's class column (its first, if none is called so).

    Raises NegRefineError when it is too large, no text, not UTF-8, or holds no names.
    """
    if len(data) > MAX_BYTES:
        raise NegRefineError(f"{name} has {len(data) / 1e6:.1f} MB; a class list has at most {MAX_BYTES / 1e6:.0f} MB.")
    if b"\0" in data and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise NegRefineError(f"{name} is not a text file. Upload a text file with one class a line, or a CSV file.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NegRefineError(
            f"{name} is not UTF-8 text (byte {error.start}). Save it as UTF-8 and upload it again."
        ) from error
    return _checked(_column(text) if name.lower().endswith(".csv") else text.splitlines(), name)


def _column(text: str) -> list[str]:
    try:
        rows = [row for row in csv.reader(text.splitlines()) if row]
    except csv.Error as error:
        raise NegRefineError(f"This is no CSV file ({error}). Save it again as CSV, or as one class a line.") from error
    header = [cell.strip().casefold() for cell in rows[0]] if rows else []
    place = next((i for i, cell in enumerate(header) if cell in HEADERS), None)
    column, body = (0, rows) if place is None else (place, rows[1:])
    return [row[column] if column < len(row) else "" for row in body]


def _checked(names: list[str], source: str) -> list[str]:
    names = trimmed(names)
    if not names:
        raise NegRefineError(f"{source} holds no class names. Write one class a line, for example: red fox")
    if len(names) > MAX_NAMES:
        raise NegRefineError(f"{source} holds {len(names):,} lines; a class list has at most {MAX_NAMES:,}.")
    return names
