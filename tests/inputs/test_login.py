"""A shared server's login, Streamlit's own: nothing is shown before it, and decisions bear the name that it gives."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit import config
from streamlit.runtime.secrets import secrets_singleton
from streamlit.testing.v1 import AppTest

from negrefine_core import paths
from negrefine_core.runs import Run, Settings
from tests.support.app_driver import MAIN, at, go, settled
from tests.support.jobs import HANG
from tests.support.runs import REVIEWED_IDS, write_verdicts

AUTH = """
[auth]
redirect_uri = "http://127.0.0.1:8501/oauth2callback"
cookie_secret = "a long text that nobody guesses, of more than 32 letters"
client_id = "negrefine"
client_secret = "theirs"
server_metadata_url = "http://127.0.0.1:9/.well-known/openid-configuration"
"""
CLAIMS: dict[str, object] = {"is_logged_in": True, "name": "Ada <b>L.</b>", "email": "ada@example.org", "sub": "17"}
PAGES = ["explore", "image", "review", "judges", "compare", "classes", "score", "learn"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run.create("login", Settings(n_groups=2), REVIEWED_IDS, paths.RUNS)
    if not run.is_mined:
        write_verdicts(run)
    return run


@pytest.fixture
def secrets(tmp_path: Path) -> Iterator[Path]:
    """Where the server's secrets.toml lies; there is none yet."""
    before = config.get_option("secrets.files")
    config.set_option("secrets.files", [str(tmp_path / "secrets.toml")])
    secrets_singleton._reset()
    yield tmp_path / "secrets.toml"
    config.set_option("secrets.files", before)
    secrets_singleton._reset()


@pytest.fixture
def with_login(secrets: Path) -> None:
    secrets.write_text(AUTH, encoding="utf-8")


def visited(page: str, **claims: object) -> AppTest:
    """A page of a server with a login, as somebody with these claims sees it."""
    app = AppTest.from_file(MAIN, default_timeout=HANG)
    app.user = claims
    app.query_params["run"] = "login"
    return settled(go(app, page))


@pytest.mark.usefixtures("with_login")
@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_shown_to_somebody_who_has_not_logged_in(page: str, run: Run) -> None:
    app = visited(page)
    assert [button.key for button in app.button] == ["login"]
    assert [title.value for title in app.title] == ["NegRefine Explorer"]
    assert not app.selectbox
    assert not app.caption


@pytest.mark.usefixtures("with_login")
def test_a_decision_bears_the_name_of_the_login(run: Run) -> None:
    app = visited("review", **CLAIMS)
    field = next(field for field in app.text_input if field.label == "Your name")
    assert (field.value, field.disabled) == (CLAIMS["name"], True)
    settled(app.button(key="review_S").click().run())
    assert run.overrides[-1].who == CLAIMS["name"]


@pytest.mark.usefixtures("with_login")
@pytest.mark.parametrize("claims", [{"email": "ada@example.org", "sub": "17"}, {"sub": "ada@example.org", "name": ""}])
def test_a_login_without_a_name_gives_the_next_best(claims: dict[str, object], run: Run) -> None:
    app = visited("review", is_logged_in=True, **claims)
    assert next(field for field in app.text_input if field.label == "Your name").value == "ada@example.org"


def test_without_a_login_set_up_everything_is_open_and_the_name_is_typed(run: Run) -> None:
    app = settled(at("review", run="login"))
    assert not next(field for field in app.text_input if field.label == "Your name").disabled
    assert "login" not in [button.key for button in app.button]


@pytest.mark.parametrize("content", ["[auth", "not toml at all \0", "a = "])
def test_a_secrets_file_that_cannot_be_read_lets_nobody_in(content: str, run: Run, secrets: Path) -> None:
    secrets.write_text(content, encoding="utf-8")
    app = visited("review")
    assert not app.selectbox
    assert "nobody can log in" in app.error[0].value


def test_secrets_without_a_login_ask_for_none(run: Run, secrets: Path) -> None:
    secrets.write_text("other = 1", encoding="utf-8")
    assert visited("review").selectbox
