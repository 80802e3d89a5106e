"""The image sets of the paper's experiments: where their pictures lie, how many there are, and how to get them.

Plain data; `dataset_folders` finds the sets below a folder. The counts are the published ones; where a set is read in
another way by other papers, all known counts are given.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import NegRefineError

IMAGENET_TERMS = "ImageNet's terms: non-commercial research and education"
PUBLISHED_NAMES = {"open_image": "openimage-o", "texture": "textures"}  # the published code's, where they are others
OF_ID_CLASSES = "images of ImageNet classes: where these are the ID classes"  # what contaminated sets hold
CONTAMINATION = "Holds images of ImageNet classes (NINCO's authors measured how many): its figures say less."


@dataclass(frozen=True)
class Split:
    """Splits that torchvision reads: its class, the folder that the class looks for, and the splits, joined."""

    reader: str
    folder: str
    splits: tuple[str, ...]


@dataclass(frozen=True)
class Dataset:
    """One image set.

    `folders` are the accepted places of its pictures below the datasets' root, the usual first; upper and lower case,
    "-" and "_" do not matter. `class_folders` names the list in `data/class_folders` of the folders that hold a class
    each (none: any, or a flat folder). `labels` is the class list for the set as ID. `part_of` is a set that it can be
    drawn from by its class folders. `is_contaminated`: it holds images of ImageNet classes.
    """

    name: str
    title: str
    folders: tuple[str, ...]
    counts: tuple[int, ...]
    url: str
    licence: str
    note: str = ""
    class_folders: str = ""
    labels: str = ""
    split: Split | None = None
    part_of: str = ""
    is_contaminated: bool = False


def _imagenet_subset(classes: int, url: str = "https://github.com/deeplearning-wisc/MCM") -> Dataset:
    name = f"imagenet-{classes}"
    return Dataset(
        name, f"ImageNet-{classes}", (f"imagenet{classes}/val", f"imagenet{classes}"), (50 * classes,), url,
        IMAGENET_TERMS, "Drawn from ImageNet-1K's validation images when it has no folder of its own.",
        class_folders=name, labels=name, part_of="imagenet",
    )  # fmt: skip


DATASETS = (
    Dataset(
        "imagenet", "ImageNet-1K (validation)",
        ("imagenet/val", "imagenet_1k/val", "ILSVRC2012/val", "ILSVRC-2012/val", "imagenet/ILSVRC/Data/CLS-LOC/val",
         "ILSVRC2012_img_val", "imagenet"),
        (50_000,), "https://www.image-net.org/challenges/LSVRC/2012/", IMAGENET_TERMS,
        class_folders="imagenet", labels="imagenet",
    ),
    Dataset(
        "imagenet-v2", "ImageNet-V2 (matched frequency)",
        ("imagenetv2-matched-frequency-format-val",
         "imagenetv2-matched-frequency/imagenetv2-matched-frequency-format-val", "imagenet-v2"),
        (10_000,), "https://github.com/modestyachts/ImageNetV2", "MIT (its code); the images' own",
        "Its class folders are numbered 0 to 999.", class_folders="imagenet", labels="imagenet",
    ),
    Dataset(
        "imagenet-a", "ImageNet-A", ("imagenet-a",), (7_500,), "https://github.com/hendrycks/natural-adv-examples",
        "MIT (its code); the images' own", class_folders="imagenet-a", labels="imagenet-a",
    ),
    Dataset(
        "imagenet-r", "ImageNet-R", ("imagenet-r",), (30_000,), "https://github.com/hendrycks/imagenet-r",
        "MIT (its code); the images' own", class_folders="imagenet-r", labels="imagenet-r",
    ),
    Dataset(
        "imagenet-sketch", "ImageNet-Sketch", ("imagenet-sketch/sketch", "sketch", "imagenet-sketch"), (50_889,),
        "https://github.com/HaohanWang/ImageNet-Sketch", "MIT (its code); the images' own",
        class_folders="imagenet", labels="imagenet",
    ),
    _imagenet_subset(10),
    _imagenet_subset(20),
    _imagenet_subset(99, "https://github.com/ah-ansari/NegRefine"),
    _imagenet_subset(100),
    Dataset(
        "cub-200", "CUB-200-2011", ("CUB_200_2011/images", "CUB_200_2011/CUB_200_2011/images", "cub-200/images"),
        (11_788, 5_794), "https://www.vision.caltech.edu/datasets/cub_200_2011/",
        "non-commercial research and education", "The published code reads all images; the test split has 5,794.",
        class_folders="cub-200", labels="cub-200",
    ),
    Dataset(
        "stanford-cars", "Stanford Cars", ("stanford_cars/cars_test", "stanford_cars", "cars"), (8_041, 16_185),
        "https://pytorch.org/vision/stable/generated/torchvision.datasets.StanfordCars.html",
        "non-commercial research", "The test split, as MCM reads it; the published code reads a folder 'cars' whose "
        "split it does not say. The original download is gone.",
        labels="stanford-cars", split=Split("StanfordCars", "stanford_cars", ("test",)),
    ),
    Dataset(
        "food-101", "Food-101", ("food-101/images",), (101_000, 25_250),
        "https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101/", "non-commercial scientific use",
        "The published code reads all images; the test split has 25,250.",
        class_folders="food-101", labels="food-101", split=Split("Food101", "food-101", ("train", "test")),
    ),
    Dataset(
        "oxford-pets", "Oxford-IIIT Pet", ("oxford-iiit-pet/images", "oxford_pet"), (3_669, 7_349, 7_390),
        "https://www.robots.ox.ac.uk/~vgg/data/pets/", "CC BY-SA 4.0",
        "The test split, as MCM reads it; the published code reads a folder 'oxford_pet' whose split it does not say.",
        labels="oxford-pets", split=Split("OxfordIIITPet", "oxford-iiit-pet", ("test",)),
    ),
    Dataset(
        "waterbirds", "Waterbirds (95%)", ("waterbird_complete95_forest2water2", "waterbirds_v1.0", "waterbirds"),
        (11_788,), "https://github.com/kohpangwei/group_DRO", "CUB's and Places' own",
        "CUB's birds pasted on Places' backgrounds. The published code reads all of it, training images included.",
        class_folders="cub-200", labels="waterbirds",
    ),
    Dataset(
        "waterbirds-backgrounds", "Waterbirds' backgrounds (Places)",
        ("placesbg", "ood_datasets/placesbg"), (), "https://github.com/deeplearning-wisc/Spurious_OOD",
        "Places' own: non-commercial research and education",
        "The same kinds of scene without a bird (forest, ocean, lake), drawn at random from Places by the script "
        "generate_placebg.py: no list of the pictures was published, so figures can differ.",
    ),
    Dataset(
        "inaturalist", "iNaturalist (MOS's 10,000 plants)", ("iNaturalist/images", "iNaturalist"), (10_000,),
        "http://pages.cs.wisc.edu/~huangrui/imagenet_ood_dataset/iNaturalist.tar.gz",
        "iNaturalist 2017's terms: non-commercial research and education", "Plants that ImageNet lacks.",
    ),
    Dataset(
        "sun", "SUN (MOS's 10,000)", ("SUN/images", "SUN"), (10_000,),
        "http://pages.cs.wisc.edu/~huangrui/imagenet_ood_dataset/SUN.tar.gz", "SUN's own: research", CONTAMINATION,
        is_contaminated=True,
    ),
    Dataset(
        "places", "Places (MOS's 10,000)", ("Places/images", "Places"), (10_000,),
        "http://pages.cs.wisc.edu/~huangrui/imagenet_ood_dataset/Places.tar.gz",
        "Places' own: non-commercial research and education", CONTAMINATION, is_contaminated=True,
    ),
    Dataset(
        "textures", "Textures (DTD)", ("dtd/images", "dtd/dtd/images", "textures/images", "textures"), (5_640,),
        "https://www.robots.ox.ac.uk/~vgg/data/dtd/", "research", CONTAMINATION, is_contaminated=True,
        class_folders="textures", split=Split("DTD", "dtd", ("train", "val", "test")),
    ),
    Dataset(
        "openimage-o", "OpenImage-O", ("openimage_o/images", "openimage_o", "OpenImagesO/images", "OpenImage-O"),
        (17_632, 15_869), "https://github.com/Jingkang50/OpenOOD", "annotations CC BY 4.0, images CC BY 2.0",
        "Chosen by hand from OpenImages; little contamination. OpenOOD's test part has 15,869.",
    ),
    Dataset(
        "ninco", "NINCO", ("NINCO/NINCO_OOD_classes", "NINCO_OOD_classes", "NINCO"), (5_879, 5_878),
        "https://zenodo.org/record/8013288", "CC BY 4.0",
        "Every image was checked by hand to hold no ImageNet class.", class_folders="ninco",
    ),
    Dataset(
        "clean", "Clean (NINCO's collection)",
        ("NINCO/NINCO_popular_datasets_subsamples", "NINCO_popular_datasets_subsamples"), (2_715,),
        "https://zenodo.org/record/8013288", "the 11 sources' own",
        "Samples of 11 common OOD sets, checked by hand to hold no ImageNet class.",
    ),
)  # fmt: skip


def dataset(name: str) -> Dataset:
    """The image set of a name. Raises NegRefineError naming those there are."""
    found = {entry.name: entry for entry in DATASETS}.get(name)
    if not found:
        raise NegRefineError(f"no image set {name!r}; choose one of {', '.join(entry.name for entry in DATASETS)}")
    return found


def contaminated(names: Iterable[str]) -> list[str]:
    """Those of the names that are image sets known to hold images of ImageNet classes."""
    wanted = set(names)
    return [entry.name for entry in DATASETS if entry.is_contaminated and entry.name in wanted]
