"""Miniatures of the paper's image sets, in each layout that they are accepted in: a few generated pictures each."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import scipy.io

from negrefine_core.benchmarks.datasets import DATASETS, Dataset
from negrefine_core.benchmarks.folders import class_folders
from tests.support.pictures import encoded, picture

CLASSES = 3  # class folders of a miniature, where the set has them


def layouts(entry: Dataset) -> Iterator[str]:
    """A name for each layout of a set: "flat:FOLDER", "named:FOLDER", "numbered:FOLDER", "torchvision", "drawn"."""
    for folder in entry.folders:
        yield f"flat:{folder}"
        if entry.class_folders:
            yield f"named:{folder}"
            yield f"numbered:{folder}"
    if entry.split:
        yield "torchvision"
    if entry.part_of:
        yield "drawn"


def write_miniature(entry: Dataset, layout: str, root: Path, seed: int = 0) -> int:
    """Write a set below `root`; returns how many pictures it should be found to have."""
    kind, _, folder = layout.partition(":")
    if kind == "torchvision":
        assert entry.split
        writers = {"Food101": food, "OxfordIIITPet": pets, "StanfordCars": cars, "DTD": textures}
        return writers[entry.split.reader](root, seed)
    if kind == "drawn":
        names = class_folders(entry.class_folders)[:CLASSES]
        others = [name for name in class_folders("imagenet") if name not in class_folders(entry.class_folders)]
        write(root / "imagenet" / "val", [f"{name}/a.JPEG" for name in (*names, *others[:2])], seed)
        return CLASSES
    names = class_folders(entry.class_folders)[:CLASSES] if entry.class_folders else ()
    if kind == "numbered":
        whole = class_folders(entry.part_of or entry.class_folders)
        names = tuple(str(whole.index(name)) for name in names)
    files = [f"{i:08}.jpg" for i in range(CLASSES)] if kind == "flat" else [f"{name}/a.jpg" for name in names]
    write(root / folder, files, seed)
    return len(files)


def write_all(root: Path) -> None:
    """Every set in its first layout, the ImageNet subsets drawn from ImageNet."""
    for number, entry in enumerate(DATASETS):
        layout = "drawn" if entry.part_of else f"{'named' if entry.class_folders else 'flat'}:{entry.folders[0]}"
        write_miniature(entry, layout, root, 100 * number)


def write(folder: Path, files: list[str], seed: int = 0) -> None:
    for number, file in enumerate(files):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(jpeg(seed + number))


def jpeg(seed: int) -> bytes:
    return encoded(picture(seed, (24, 24)), "JPEG")


def food(root: Path, seed: int) -> int:
    splits = {"train": {"apple_pie": ["apple_pie/1", "apple_pie/2"]}, "test": {"waffles": ["waffles/3"]}}
    for split, classes in splits.items():
        write(root / "food-101" / "images", [f"{file}.jpg" for files in classes.values() for file in files], seed)
        (root / "food-101" / "meta").mkdir(exist_ok=True)
        (root / "food-101" / "meta" / f"{split}.json").write_text(json.dumps(classes))
    return 3


def pets(root: Path, seed: int) -> int:
    write(root / "oxford-iiit-pet" / "images", ["Bombay_1.jpg", "pug_2.jpg", "train_3.jpg"], seed)
    (root / "oxford-iiit-pet" / "annotations").mkdir()
    (root / "oxford-iiit-pet" / "annotations" / "test.txt").write_text("Bombay_1 1 1 1\npug_2 2 2 1\n")
    return 2  # the third is not in the test split


def cars(root: Path, seed: int) -> int:
    folder = root / "stanford_cars"
    write(folder / "cars_test", ["00001.jpg", "00002.jpg"], seed)
    (folder / "devkit").mkdir()
    scipy.io.savemat(folder / "devkit" / "cars_meta.mat", {"class_names": np.array(["A", "B"], dtype=object)})
    annotations = np.array([("00001.jpg", 1), ("00002.jpg", 2)], dtype=[("fname", object), ("class", object)])
    scipy.io.savemat(folder / "cars_test_annos_withlabels.mat", {"annotations": annotations})
    return 2


def textures(root: Path, seed: int) -> int:
    files = ["banded/1.jpg", "dotted/2.jpg", "woven/3.jpg"]
    write(root / "dtd" / "dtd" / "images", files, seed)
    (root / "dtd" / "dtd" / "labels").mkdir()
    for split, file in zip(("train", "val", "test"), files, strict=True):
        (root / "dtd" / "dtd" / "labels" / f"{split}1.txt").write_text(f"{file}\n")
    return 3
