"""The app without a browser: a page at a URL, what it says, and where it has gone."""

from pathlib import Path

from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

MAIN = str(Path(__file__).resolve().parents[2] / "app" / "main.py")


def at(page: str, /, **query: str) -> AppTest:
    """The app on one of its pages at a URL, drawn once."""
    app = AppTest.from_file(MAIN, default_timeout=60)
    for name, value in query.items():
        app.query_params[name] = value
    return go(app, page)


def go(app: AppTest, page: str) -> AppTest:
    """What a click on the menu does: AppTest's own `switch_page` knows file-based pages alone."""
    app._page_hash = calc_hash(page)
    return app.run()


def texts(app: AppTest) -> str:
    elements = [*app.markdown, *app.caption, *app.info, *app.warning, *app.error, *app.success, *app.subheader]
    return "\n".join(element.value for element in elements)


def query(app: AppTest) -> dict[str, str]:
    return {name: value[0] if isinstance(value, list) else value for name, value in app.query_params.items()}
