"""A run from elsewhere shows nothing but the pictures of its sets, touches nothing beside itself, and runs nothing."""

import ast
import pickle
import shutil
from pathlib import Path

import pytest

from negrefine_core.errors import NegRefineError
from negrefine_core.pictures import locate
from negrefine_core.run_files.scores import ScoresInfo, write_scores
from negrefine_core.runs import Run, run_names
from tests.support.app_driver import at
from tests.support.project import ROOT
from tests.support.runs import write_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "pictures").mkdir()
    return write_run("foreign", tmp_path / "runs", tmp_path / "pictures")


def say_root(run: Run, root: str) -> None:
    """The scores of food as if a stranger had written this folder of pictures into them."""
    info = ScoresInfo(image_set="food", root=root, class_list_hash=run.info.class_list_hash)
    write_scores(run.path("scores/food.parquet"), [run.scores("food")], lambda: info)


@pytest.mark.parametrize("root", ["/", "data/../../..", "../..", "/usr/.."])
def test_a_root_that_is_the_whole_disk_or_a_way_up_shows_nothing(root: str, run: Run, tmp_path: Path) -> None:
    say_root(run, root)
    seen = str(tmp_path / "pictures" / "outside.png").lstrip("/")
    with pytest.raises(NegRefineError, match="outside the image set's folder"):
        locate(run, "food", seen)


@pytest.mark.parametrize("path", ["../outside.png", "/etc/passwd", "a/../../outside.png", "../../../../etc/passwd"])
def test_a_path_that_leaves_its_root_shows_nothing(path: str, run: Run) -> None:
    with pytest.raises(NegRefineError, match="outside the image set's folder"):
        locate(run, "food", path)


def test_links_that_came_in_a_runs_own_folder_lead_nowhere_else(run: Run, tmp_path: Path) -> None:
    own = run.path("images") / "food"
    own.mkdir(parents=True)
    (own / "link.png").symlink_to(tmp_path / "pictures" / "outside.png")
    (own / "round.png").symlink_to(own / "round.png")
    shutil.copy(tmp_path / "pictures" / "outside.png", own / "whole.png")
    say_root(run, str(own))
    assert locate(run, "food", "whole.png") == own / "whole.png"
    for name in ("link.png", "round.png"):
        with pytest.raises(NegRefineError):
            locate(run, "food", name)


def test_links_in_a_persons_own_pictures_are_followed(run: Run, tmp_path: Path) -> None:
    (tmp_path / "pictures" / "food" / "link.png").symlink_to(tmp_path / "pictures" / "outside.png")
    assert locate(run, "food", "link.png").exists()


def test_scores_named_like_the_folder_above_are_no_image_set(run: Run) -> None:
    shutil.copy(run.path("scores/food.parquet"), run.path("scores") / "...parquet")
    assert run.scored_sets == ["animals", "food"]


@pytest.mark.parametrize("name", ["../x", "/usr/x", "..", "a/b", ".hidden", "x\n", "%2e%2e"])
def test_the_app_opens_no_run_by_a_path(name: str, tmp_path: Path) -> None:
    assert name not in run_names()
    app = at("explore", run=name)
    assert not app.exception
    assert any("There is no run" in error.value for error in app.error)


# --- pickles ---------------------------------------------------------------------------------------------------------

UNPICKLING = {"read_pickle", "Unpickler"}
MODULES = {"pickle", "joblib", "dill", "cloudpickle", "shelve", "marshal"}


def test_no_source_unpickles_anything() -> None:
    sources = [
        file for folder in ("negrefine_core", "app", "data", "notebooks") for file in (ROOT / folder).rglob("*.py")
    ]
    assert len(sources) > 100
    for file in sources:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            where = f"{file}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Import):
                assert not {alias.name.split(".")[0] for alias in node.names} & MODULES, where
            elif isinstance(node, ast.ImportFrom):
                assert (node.module or "").split(".")[0] not in MODULES, where
            elif isinstance(node, ast.Attribute):
                assert node.attr not in UNPICKLING, where
            elif isinstance(node, ast.Call):
                _check_call(node, where)


def _check_call(call: ast.Call, where: str) -> None:
    named = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    assert named.get("allow_pickle", "False") == "False", where
    assert named.get("weights_only", "True") == "True", where
    if ast.unparse(call.func) == "torch.load":
        assert named.get("weights_only") == "True", where


class Bomb:
    """What writes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (self.mark,)  # type: ignore[return-value]


@pytest.mark.parametrize("name", ["scores/food.parquet", "run.json", "verdicts.jsonl", "metrics.json"])
def test_a_pickle_in_place_of_a_runs_file_is_refused_and_not_opened(name: str, run: Run, tmp_path: Path) -> None:
    mark = tmp_path / "unpickled"
    run.path(name).write_bytes(pickle.dumps(Bomb(mark)))
    with pytest.raises(NegRefineError):
        _ = Run.open(run.folder).scores("food"), run.verdicts, run.metrics
    assert not mark.exists()


@pytest.mark.parametrize("name", ["open_clip_model.safetensors", "open_clip_pytorch_model.bin", "weights.pt"])
def test_a_pickle_in_place_of_a_models_weights_is_refused_and_not_opened(
    name: str, tiny_model: str, tmp_path: Path
) -> None:
    from negrefine_core.encoder import load_encoder

    mark, folder = tmp_path / "unpickled", tmp_path / "model"
    folder.mkdir()
    shutil.copy(Path(tiny_model.removeprefix("local-dir:")) / "open_clip_config.json", folder)
    (folder / name).write_bytes(pickle.dumps(Bomb(mark)))
    model = ("ViT-B-32", str(folder / name)) if name.endswith(".pt") else (f"local-dir:{folder}", None)
    with pytest.raises(NegRefineError):
        load_encoder(*model)
    assert not mark.exists()
