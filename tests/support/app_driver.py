"""The app without a browser: a page at a URL, what it says, and where it has gone."""

import time
from collections.abc import Callable

from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from tests.support.jobs import HANG
from tests.support.project import ROOT

MAIN = str(ROOT / "app" / "main.py")


def at(page: str, /, **query: str) -> AppTest:
    """The app on one of its pages at a URL, drawn once."""
    app = AppTest.from_file(MAIN, default_timeout=HANG)
    for name, value in query.items():
        app.query_params[name] = value
    return go(app, page)


def go(app: AppTest, page: str) -> AppTest:
    """What a click on the menu does: AppTest's own `switch_page` knows file-based pages alone."""
    app._page_hash = calc_hash(page)
    return app.run()


def texts(app: AppTest) -> str:
    """What the page says, outside its tables and controls."""
    elements = [*app.markdown, *app.caption, *app.info, *app.warning, *app.error, *app.success, *app.subheader]
    return "\n".join(element.value for element in elements)


def query(app: AppTest) -> dict[str, str]:
    """The URL's query, as the page left it."""
    return {name: value[0] if isinstance(value, list) else value for name, value in app.query_params.items()}


def has_all(app: AppTest) -> bool:
    """Whether nothing of the page is still worked out in the background."""
    return "hourglass" not in texts(app)


def settled(app: AppTest, condition: Callable[[AppTest], object] = has_all) -> AppTest:
    """The page drawn again, as its own timer does in a browser, until the condition holds."""
    deadline = time.monotonic() + HANG
    while not condition(app):
        assert time.monotonic() < deadline, f"the page never came to that:\n{texts(app)}"
        time.sleep(0.05)
        app.run()
    assert not app.exception
    return app
