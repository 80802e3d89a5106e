"""Everything that a page shows, string by string, with where it stands: to tell text from what would be obeyed."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Block, Element

MARKUP = "<img src=x onerror=alert(1)> [x](javascript:alert(1)) :material/delete: $\\alpha$ **bold** :red[r] &lt;b&gt;"
NAME = "<img src=x onerror=alert(1)> $x$ **bold** :red[r]"  # what a file may be called

OBEYED = re.compile(r"(?<!\\)(?:<img src|\[x\]\(javascript|:material/delete|\$\\alpha|\$x\$|\*bold|:red\[r|&lt;b)")
TAG = re.compile(r"<img src")
ESCAPED = re.compile(r"\\(?:<img|\*bold)")

AS_TEXT = {  # (element, field): what the browser shows letter by letter
    ("selectbox", "options"),
    ("selectbox", "placeholder"),
    ("multiselect", "options"),
    ("text_input", "default"),
    ("text_input", "value"),
    ("text_area", "default"),
    ("number_input", "placeholder"),
    ("code", "code_text"),
    ("link_button", "url"),
}
TEXT_ALWAYS = {"alt"}  # for screen readers
NOT_SHOWN = {
    "id",
    "key",
    "user_key",
    "icon",
    "form_id",
    "query_string",
    "page_script_hash",
    "raw_value",
    "url",
    "markup",
}


@dataclass(frozen=True)
class Shown:
    """A string of an element, which reads it as plain `text`, `markdown`, or a `plotly` label with its tags."""

    element: str
    field: str
    reads: str
    text: str

    @property
    def is_obeyed(self) -> bool:
        """Whether hostile markup would be obeyed here."""
        if self.reads == "text":
            return False
        return bool((TAG if self.reads == "plotly" else OBEYED).search(self.text))

    @property
    def is_marred(self) -> bool:
        """Whether a person would see the signs that take markup's meaning from it."""
        return self.reads == "text" and bool(ESCAPED.search(self.text))


def shown(app: AppTest) -> list[Shown]:
    """What the page and its sidebar show."""
    return [each for element in _elements(app._tree) for each in _strings(element)]


def _elements(block: Block) -> Iterator[Element | Block]:
    for child in block.children.values():
        yield child
        if isinstance(child, Block):
            yield from _elements(child)


def _strings(element: Element | Block) -> Iterator[Shown]:
    proto = element.proto
    if not isinstance(proto, Message):
        return
    kind = element.type
    if kind == "plotly_chart":
        yield from (Shown(kind, "spec", "plotly", text) for text in _leaves(json.loads(proto.spec)))
        yield Shown(kind, "alt", "text", proto.alt)
        return
    if kind == "table" and isinstance(element, Element):
        yield from (Shown(kind, "cell", "markdown", text) for text in _cells(element.value))
        return
    for field, text in _fields(proto):
        if field not in NOT_SHOWN:
            is_text = field in TEXT_ALWAYS or (kind, field) in AS_TEXT
            yield Shown(kind, field, "text" if is_text else "markdown", text)


def _cells(table: pd.DataFrame) -> list[str]:
    """The texts of a static table, those of its head and its first column too."""
    return [str(text) for text in (*table.columns, *table.index, *table.to_numpy().ravel())]


def _fields(message: Message) -> Iterator[tuple[str, str]]:
    """(name, text) of every string inside a message."""
    for field, value in message.ListFields():
        for each in value if field.is_repeated else [value]:
            if field.type == FieldDescriptor.TYPE_MESSAGE:
                if isinstance(each, Message):
                    yield from _fields(each)
            elif isinstance(each, str):
                yield field.name, each


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from _leaves(each)
    elif isinstance(value, dict):
        for name, each in value.items():
            if name != "template":
                yield from _leaves(each)
