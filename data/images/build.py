"""Rebuild the bundled picture sets from Twemoji: one class folder per name, 160 px RGB on white.

    pip install resvg-py pillow numpy && python data/images/build.py

Needs `npm` (only `npm pack`, to fetch the packages). Every picture is a Twemoji drawing; the demonstration
CLIP in `data/models/demo` was trained on other vendors' drawings only. Sets are split by kind of thing:
`animals` (in-distribution) are real mammals and birds, `other_animals` (near-OOD) are all other real
animals, and `food`, `plants`, `vehicles` and `objects` are far-OOD. Older Twemoji drawings of animals,
plants and vehicles are added where they look different; the version is in the file name.
"""

from __future__ import annotations

# ruff: noqa: S603, S607 - it runs npm and tar with fixed arguments
import io
import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import resvg_py
from PIL import Image, ImageOps

HERE = Path(__file__).resolve().parent
SIZE, MARGIN = 160, 12
NEW = "@iconify-json/twemoji@1.2.5"
OLD = ("twemoji@11.3.0", "twemoji@2.5.1", "twemoji@1.4.1")  # newest first
NAMES = "emoji-datasource@16.0.0"  # only its table of emoji names and subcategories
MIN_DIFFERENCE = 10.0  # mean absolute grey-level difference (of 255) that makes an older drawing "different"

SUBCATEGORIES = {
    "animals": ("animal-mammal", "animal-bird"),
    "other_animals": ("animal-amphibian", "animal-reptile", "animal-marine", "animal-bug"),
    "food": ("food-fruit", "food-vegetable", "food-prepared", "food-asian", "food-sweet", "drink"),
    "plants": ("plant-flower", "plant-other"),
    "vehicles": ("transport-ground", "transport-water", "transport-air"),
    "objects": (
        "household",
        "tool",
        "clothing",
        "musical-instrument",
        "office",
        "writing",
        "computer",
        "phone",
        "light & video",
        "science",
        "medical",
        "sport",
        "arts & crafts",
        "music",
        "lock",
        "book-paper",
        "sound",
    ),
}
# Mammals that Unicode files under marine animals. Its smileys with an animal's face (crying cat, see-no-evil monkey)
# stand for moods and gestures, and belong to no set.
MORE_MAMMALS = {"whale", "spouting whale", "dolphin", "seal"}
# Not real animals, only a part of one, or no single thing to see.
LEFT_OUT = {
    "animals": {"unicorn face", "pig nose", "paw prints", "phoenix", "feather", "wing"},
    "other_animals": {"dragon", "dragon face", "spider web", "microbe", "sauropod", "t-rex", "spiral shell", "coral"},
    "food": {
        "ice cube", "baby bottle", "chopsticks", "pouring liquid",
        "poultry leg", "meat on bone", "cut of meat", "bacon", "egg", "cooking", "fried shrimp",  # parts of animals
    },
    "plants": {"rosette", "empty nest", "nest with eggs", "mushroom", "leaf fluttering in wind", "white flower"},
    "vehicles": {
        "station", "bus stop", "horizontal traffic light", "vertical traffic light", "construction sign",
        "police cars revolving light", "octagonal sign", "wheel", "oil drum", "motorway", "railway track",
        "roller skate", "fuel pump", "seat", "satellite", "parachute", "ring buoy", "anchor",
        "airplane departure", "airplane arriving", "mountain cableway", "suspension railway",
        "mountain railway", "aerial tramway",
    },
    "objects": {
        "fishing pole and fish", "mouse trap", "performing arts", "elevator", "level slider", "control knobs",
        "label", "musical note", "multiple musical notes", "speaker with cancellation stroke",
        "speaker with one sound wave", "speaker with three sound waves", "bell with cancellation stroke",
        "link symbol", "mobile phone with rightwards arrow at left", "chart with downwards trend",
        "low battery", "flag in hole", "framed picture", "film frames", "tear-off calendar", "x-ray",
        "bubbles", "hammer and pick", "crossed swords", "camera with flash", "right-pointing magnifying glass",
        "lock with ink pen", "linked paperclips", "open file folder", "page with curl", "lipstick", "pistol",
        "bomb", "dagger", "hair pick",
    },
}  # fmt: skip
# The name a person would type, where Unicode's differs; several drawings of one animal share a class.
RENAMED = {
    "black cat": "cat", "service dog": "dog", "guide dog": "dog", "poodle": "dog", "dromedary camel": "camel",
    "bactrian camel": "camel", "boar": "wild boar", "spouting whale": "whale", "baby chick": "chick",
    "hatching chick": "chick", "front-facing baby chick": "chick", "black bird": "bird", "bug": "caterpillar",
    "honeybee": "bee", "lady beetle": "ladybug", "blowfish": "pufferfish", "aubergine": "eggplant",
    "ear of maize": "corn", "slice of pizza": "pizza", "doughnut": "donut",
    "soft ice cream": "soft serve ice cream", "hocho": "kitchen knife", "closed lock with key": "lock and key",
    "mans shoe": "dress shoe", "womans hat": "sun hat", "womans clothes": "blouse", "womans sandal": "sandal",
    "womans boots": "boot", "couch and lamp": "couch", "electric torch": "flashlight",
    "left-pointing magnifying glass": "magnifying glass", "black nib": "pen nib", "black scissors": "scissors",
    "automobile": "car", "oncoming automobile": "oncoming car", "articulated lorry": "truck",
    "cheering megaphone": "megaphone", "public address loudspeaker": "loudspeaker",
    "ear of rice": "rice plant", "dna double helix": "dna", "rescue worker’s helmet": "rescue helmet",
    "headphone": "headphones", "tangerine": "orange", "custard": "custard pudding",
    "personal computer": "laptop", "recreational vehicle": "sport utility vehicle",
    "black telephone": "telephone", "high-speed train with bullet nose": "bullet train",
    "hot beverage": "hot coffee", "steaming bowl": "noodle soup", "school satchel": "backpack",
    "billed cap": "baseball cap", "electric light bulb": "light bulb", "probing cane": "white cane",
    "tumbler glass": "whisky glass", "flying disc": "frisbee", "motor boat": "motorboat",
    "chart with upwards trend": "line chart", "rolled-up newspaper": "rolled newspaper",
}  # fmt: skip


def fetch(package: str, into: Path) -> Path:
    """Unpack one npm package and return its folder."""
    folder = into / re.sub(r"\W+", "_", package)
    folder.mkdir(parents=True)
    run = subprocess.run(["npm", "pack", package, "--silent"], cwd=folder, check=True, capture_output=True, text=True)
    subprocess.run(["tar", "xzf", run.stdout.split()[-1], "--strip-components=1"], cwd=folder, check=True)
    return folder


def rasterise(svg: str) -> Image.Image:
    """SVG text -> RGB picture on white, with a margin."""
    side = SIZE - 2 * MARGIN
    png = resvg_py.svg_to_bytes(svg_string=svg, width=side, height=side, skip_system_fonts=True)
    picture = Image.open(io.BytesIO(bytes(png))).convert("RGBA")
    white = Image.new("RGBA", (SIZE, SIZE), "white")
    white.alpha_composite(picture, (MARGIN, MARGIN))
    return white.convert("RGB")


def set_of(name: str, subcategory: str) -> str | None:
    """The picture set an emoji belongs to, or None."""
    if name in MORE_MAMMALS:
        return "animals"
    if name in {"crab", "lobster", "shrimp", "squid", "oyster"}:
        return "other_animals"
    for chosen, subcategories in SUBCATEGORIES.items():
        if subcategory in subcategories and name not in LEFT_OUT[chosen]:
            return chosen
    return None


def class_name(name: str, chosen: str) -> str:
    """`bear face` -> `bear`; by hand where Unicode's own name will not do."""
    if chosen in ("animals", "other_animals"):
        name = name.removesuffix(" face")
    return RENAMED.get(name, name).replace("/", " ")


def table(folder: Path) -> dict[str, tuple[str, str]]:
    """Code points -> (set, class name) for the emoji we want."""
    wanted = {}
    for row in json.loads((folder / "emoji.json").read_text()):
        name = (row["name"] or row["short_name"].replace("_", " ")).lower()
        chosen = set_of(name, row["subcategory"])
        if chosen:
            code = "-".join(part for part in row["unified"].lower().split("-") if part != "fe0f")
            wanted[code] = (chosen, class_name(name, chosen))
    return wanted


def current_drawings(folder: Path) -> dict[str, str]:
    """Code points -> SVG text, from the Iconify packaging of Twemoji."""
    icons = json.loads((folder / "icons.json").read_text())
    drawings = {}
    for code, icon in json.loads((folder / "chars.json").read_text()).items():
        body = icons["icons"].get(icon, {}).get("body")
        if body:
            drawings["-".join(part for part in code.split("-") if part != "fe0f")] = (
                '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
                f'viewBox="0 0 {icons["width"]} {icons["height"]}">{body}</svg>'
            )
    return drawings


def older_drawings(folder: Path) -> dict[str, str]:
    """Code points -> SVG text, from an old `twemoji` package."""
    return {
        "-".join(p for p in f.stem.split("-") if p != "fe0f"): f.read_text() for f in sorted(folder.rglob("svg/*.svg"))
    }


def difference(a: Image.Image, b: Image.Image) -> float:
    """Mean absolute difference of two drawings, cropped to their content and shrunk to 40 px.

    Cropping makes a drawing that was only moved or scaled count as the same; shrinking discounts thin outlines.
    """
    small = []
    for picture in (a, b):
        content = ImageOps.invert(picture.convert("L")).point(lambda level: 255 if level > 8 else 0).getbbox()
        small.append(np.asarray(picture.resize((40, 40), Image.Resampling.BOX, content), np.float32))
    return float(np.abs(small[0] - small[1]).mean())


def main() -> None:
    """Fetch, split, drop look-alikes, write, and print the counts."""
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        wanted = table(fetch(NAMES, scratch))
        versions = [("new", current_drawings(fetch(NEW, scratch)))]
        versions += [
            (f"v{package.split('@')[1].split('.')[0]}", older_drawings(fetch(package, scratch))) for package in OLD
        ]
        for chosen in SUBCATEGORIES:
            shutil.rmtree(HERE / chosen, ignore_errors=True)
        kept: dict[str, list[Image.Image]] = {}
        for version, drawings in versions:
            for code, (chosen, label) in sorted(wanted.items()):
                if code not in drawings or (version != "new" and chosen in ("food", "objects")):
                    continue
                picture = rasterise(drawings[code])
                if any(difference(picture, other) < MIN_DIFFERENCE for other in kept.get(code, [])):
                    continue
                kept.setdefault(code, []).append(picture)
                path = HERE / chosen / label / f"{code}_{version}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                picture.save(path, optimize=True)
    for chosen in SUBCATEGORIES:
        classes = len(list((HERE / chosen).iterdir()))
        print(f"{chosen}: {len(list((HERE / chosen).rglob('*.png')))} pictures, {classes} classes")


if __name__ == "__main__":
    main()
