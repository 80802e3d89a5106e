"""The paper's image sets are found in each of their layouts, and what is wrong with a copy is said."""

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from negrefine_core.benchmarks.datasets import DATASETS, dataset
from negrefine_core.benchmarks.experiments import experiment, experiments
from negrefine_core.benchmarks.folders import class_folders, find, survey
from negrefine_core.cli import app
from negrefine_core.errors import NegRefineError
from negrefine_core.image_sets import read_image
from negrefine_core.labels import class_list_presets, read_class_list
from negrefine_core.methods import measured
from tests.support.miniatures import jpeg, layouts, write, write_all, write_miniature


@pytest.mark.parametrize("name", [entry.name for entry in DATASETS])
def test_a_set_is_found_in_each_of_its_layouts(name: str, tmp_path: Path) -> None:
    entry = dataset(name)
    for number, layout in enumerate(layouts(entry)):
        root = tmp_path / str(number)
        count = write_miniature(entry, layout, root)
        found = find(name, root)
        assert len(found.images) == count, layout
        assert read_image(found.images.root / found.images.paths[0]).size == (24, 24)
        if layout != "torchvision" and entry.counts:
            assert any(f"{count} images where" in problem for problem in found.problems), layout


def test_case_and_dashes_of_a_folder_do_not_matter(tmp_path: Path) -> None:
    write(tmp_path / "ImageNet_A" / "n01498041", ["a.jpg"])
    assert find("imagenet-a", tmp_path).images.paths == ("n01498041/a.jpg",)


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """ImageNet-10 as published: 10 class folders of 50 pictures."""
    picture = jpeg(0)
    for folder in class_folders("imagenet-10"):
        (tmp_path / "imagenet10" / folder).mkdir(parents=True)
        for number in range(50):
            (tmp_path / "imagenet10" / folder / f"{number}.jpg").write_bytes(picture)
    return tmp_path


def test_a_set_as_published_has_no_problems(whole: Path) -> None:
    assert find("imagenet-10", whole).problems == ()


def test_a_missing_class_folder_is_named_with_the_one_that_is_nearest(whole: Path) -> None:
    first, second = class_folders("imagenet-10")[:2]
    shutil.rmtree(whole / "imagenet10" / first)
    assert find("imagenet-10", whole).problems == (
        f"1 of 10 class folders are missing: {first}",
        "450 images where 500 were published",
    )
    (whole / "imagenet10" / second).rename(whole / "imagenet10" / f"{second}_old")
    missing, extra, _ = find("imagenet-10", whole).problems
    assert missing == f"2 of 10 class folders are missing: {first}, {second}"
    assert extra == f"1 folders are no classes of it: {second}_old (expected {second}?)"


def test_a_partial_download_says_how_many_pictures_there_are(whole: Path) -> None:
    for number in range(7):
        (whole / "imagenet10" / class_folders("imagenet-10")[0] / f"{number}.jpg").unlink()
    assert find("imagenet-10", whole).problems == ("493 images where 500 were published",)


def test_pictures_that_the_split_lists_but_are_gone_are_counted(tmp_path: Path) -> None:
    write_miniature(dataset("food-101"), "torchvision", tmp_path)
    (tmp_path / "food-101" / "images" / "waffles" / "3.jpg").unlink()
    (problem,) = find("food-101", tmp_path).problems
    assert problem == f"1 of 3 listed images are not in {tmp_path / 'food-101'}: images/waffles/3.jpg"


def test_another_layout_is_refused_naming_the_folders_expected_and_found(tmp_path: Path) -> None:
    write(tmp_path / "imagenet-a" / "imagenet-a" / "n01498041", ["a.jpg"])
    with pytest.raises(
        NegRefineError, match=r"imagenet-a should hold the class folders n01498041, .*; found imagenet-a"
    ):
        find("imagenet-a", tmp_path)


def test_a_folder_of_nearly_the_right_name_is_pointed_at(tmp_path: Path) -> None:
    write(tmp_path / "imagenet-adv", ["a.jpg"])
    with pytest.raises(NegRefineError) as error:
        find("imagenet-a", tmp_path)
    assert f"expected {tmp_path / 'imagenet-a'}; the nearest there: imagenet-adv. Get it from https" in str(error.value)


def test_an_empty_folder_and_a_missing_root_are_said(tmp_path: Path) -> None:
    (tmp_path / "imagenet-r").mkdir()
    with pytest.raises(NegRefineError, match=r"no images under .*imagenet-r"):
        find("imagenet-r", tmp_path)
    with pytest.raises(NegRefineError, match=r"no folder .*nowhere; give the one that holds the image sets"):
        find("imagenet-r", tmp_path / "nowhere")
    with pytest.raises(NegRefineError, match="no image set 'cifar'; choose one of imagenet, imagenet-v2"):
        find("cifar", tmp_path)


def test_the_survey_finds_all_of_them_and_the_command_lists_them(tmp_path: Path) -> None:
    write_all(tmp_path)
    assert not [result for _, result in survey(tmp_path) if isinstance(result, NegRefineError)]
    shutil.rmtree(tmp_path / "SUN")
    done = CliRunner().invoke(app, ["datasets", str(tmp_path), "--details"])
    assert done.exit_code == 0
    assert f"{len(DATASETS) - 1} of {len(DATASETS)} image sets are under" in done.output
    assert f"SUN (MOS's 10,000) is not under {tmp_path}: expected {tmp_path}/SUN/images" in done.output
    assert "published: 5,879 or 5,878 images; licence: CC BY 4.0" in done.output
    assert "3 images where 10,000 were published" in done.output


def test_every_experiment_has_its_sets_classes_and_methods() -> None:
    assert len(experiments()) == 13
    for entry in experiments():
        for image_set in entry.image_sets:
            assert dataset(image_set).title
        assert {entry.labels, entry.paper_labels} <= set(class_list_presets())
        assert dataset(entry.id).labels == entry.labels
        assert set(entry.paper) <= {method.name for method in measured()}
        assert {name for rows in entry.paper.values() for name in rows} <= {*entry.image_sets, "average"}
    assert [entry.name for entry in experiments() if entry.sketch_templates] == ["imagenet-sketch"]
    assert experiment("imagenet").paper["NegRefine"]["average"] == (91.79, 30.12)


def test_an_id_set_has_a_class_name_for_each_class_folder() -> None:
    for entry in DATASETS:
        if entry.labels and entry.class_folders and entry.name != "waterbirds":
            names = read_class_list(experiment_labels(entry.labels)).labels
            assert len(names) == len(class_folders(entry.class_folders)), entry.name


def experiment_labels(labels: str) -> str:
    return f"{labels}-paper" if f"{labels}-paper" in class_list_presets() else labels
