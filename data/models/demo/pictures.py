"""Fetch the training pictures of the demonstration CLIP and rasterise them to one small RGBA array.

    pip install resvg-py pillow numpy && python data/models/demo/pictures.py WORKDIR

Needs `npm` and, on a Debian system, `apt-get` (used only to download packages) and `wordnet-base`. Every source is
openly licensed without share-alike (see LICENSES.md). Twemoji is left out on purpose: the bundled evaluation
pictures are Twemoji, and the model must never have seen that style.

Writes WORKDIR/pictures.npy (N, 80, 80, 4) uint8 and WORKDIR/pictures.json (style and concept of each, aliases).
"""

from __future__ import annotations

# ruff: noqa: S603, S607 - it runs npm, tar and, for the clip art, apt-get with fixed arguments
import io
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from multiprocessing import Pool
from pathlib import Path

import numpy as np
import resvg_py
from PIL import Image

SIZE = 80
WORDNET = Path("/usr/share/wordnet")
NAMES, TABLE, KEYWORDS = "unicode-emoji-json@0.9.0", "emoji-datasource@16.0.0", "emojilib@4.0.3"
ICONIFY = {  # style -> package; named after Unicode's emoji
    "noto": "@iconify-json/noto@1.2.9",
    "noto-v1": "@iconify-json/noto-v1@1.2.5",
    "emojione": "@iconify-json/emojione@1.2.3",
    "fxemoji": "@iconify-json/fxemoji@1.2.2",
    "streamline": "@iconify-json/streamline-emojis@1.2.4",
}
ICONIFY_FREE = {  # named freely, so only names that are emoji names or WordNet nouns for things count
    "icon-park": "@iconify-json/icon-park@1.2.4",
    "flat-color": "@iconify-json/flat-color-icons@1.2.3",
    "game-icons": "@iconify-json/game-icons@1.2.4",
}
FLUENT, GOOGLE, CLIPART = "fluentui-emoji@1.3.0", "emoji-datasource-google@6.0.0", "openclipart-svg"
CLIPART_FOLDERS = [
    "animals", "buildings", "containers", "education", "electronics", "food", "office", "plants", "recreation",
    "science", "tools", "transportation", "unsorted", "decorations", "computer", "special", "people",
]  # fmt: skip
GROUPS = {"Animals & Nature", "Food & Drink", "Travel & Places", "Activities", "Objects"}
PEOPLE = {
    "ghost", "alien", "robot", "skull", "clown face", "alien monster", "goblin", "ogre", "pile of poo", "baby",
    "boy", "girl", "man", "woman", "person", "old man", "old woman", "police officer", "detective", "guard",
    "ninja", "construction worker", "person with crown", "prince", "princess", "santa claus", "superhero",
    "supervillain", "mage", "fairy", "vampire", "merperson", "mermaid", "elf", "genie", "zombie", "troll",
    "astronaut", "firefighter", "cook", "farmer", "scientist", "pilot", "judge", "mechanic", "singer",
    "artist", "student", "teacher", "baby angel", "brain", "tooth", "bone", "eye", "eyes", "ear", "nose",
    "foot", "leg", "tongue", "lungs", "anatomical heart", "mouth", "footprints", "kiss mark", "red heart",
    "broken heart", "bomb", "speaking head",
}  # fmt: skip
RENAMED = {
    "two-hump camel": "camel", "spouting whale": "whale", "hatching chick": "chick", "baby chick": "chick",
    "front-facing baby chick": "chick", "ewe": "sheep", "black cat": "cat", "guide dog": "dog",
    "service dog": "dog", "poodle": "dog", "black bird": "bird", "honeybee": "bee", "lady beetle": "ladybug",
    "bug": "caterpillar", "t-rex": "tyrannosaurus", "horse racing": "horse", "pile of poo": "poop",
    "dashing away": "wind",
}  # fmt: skip
THING_FILES = {5, 6, 8, 13, 17, 18, 19, 20, 27}  # WordNet's animal, artifact, body, food, object, person, ... nouns
NOT_NAMES = {
    "lo", "at", "dot", "add", "plus", "minus", "down", "up", "left", "right", "play", "back", "next", "set",
    "all", "top", "bottom", "home", "text", "data", "link", "more", "file", "view", "male", "female", "people",
    "user", "icon", "clip art", "simple", "app", "tanga", "stuff", "design", "will", "may", "mark", "peter",
    "jean", "ray", "jack", "bill", "nick", "rob", "pat", "jay",
}  # fmt: skip
FILLER = {"one", "two", "three", "four", "five", "md", "bw", "color", "round", "fill", "line", "icon"}


def fetch(package: str, work: Path) -> Path:
    """Unpack one npm (or, for the clip art, Debian) package once and return its folder."""
    folder = work / re.sub(r"\W+", "_", package)
    if folder.exists():
        return folder
    folder.mkdir(parents=True)
    if package == CLIPART:
        subprocess.run(["apt-get", "download", package], cwd=folder, check=True)
        archive = next(folder.glob("*.deb"))
        subprocess.run(["dpkg-deb", "-x", archive.name, "."], cwd=folder, check=True)
        return folder
    command = ["npm", "pack", package, "--silent"]
    packed = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    subprocess.run(["tar", "xzf", packed.stdout.split()[-1], "--strip-components=1"], cwd=folder, check=True)
    return folder


def key(name: str) -> str:
    """A spelling that survives every vendor's file naming."""
    return re.sub("[^a-z0-9]", "", name.lower())


def code(points: str) -> str:
    """Code points without the variation selector."""
    return "-".join(part for part in points.lower().split("-") if part != "fe0f")


def concept_of(name: str) -> str:
    """The plain concept behind an emoji name: `bear face` -> `bear`, every clock face -> `clock`."""
    name = name.lower().replace("’", "'")
    if "o'clock" in name or name.endswith("-thirty"):
        return "clock"
    if re.search("moon|crescent", name) and name not in ("moon cake", "moon viewing ceremony"):
        return "moon"
    if name.endswith("evil monkey"):
        return "monkey"
    if name.endswith(" face") and name not in ("clown face", "wind face"):
        name = name.removesuffix(" face")
    return RENAMED.get(name, name)


class Names:
    """Which concept a vendor's file name stands for."""

    def __init__(self, work: Path) -> None:
        self.by_key: dict[str, str] = {}
        self.by_code: dict[str, str] = {}
        self.groups: dict[str, str] = {}
        self.aliases: dict[str, list[str]] = {}
        for emoji, row in json.loads((fetch(NAMES, work) / "data-by-emoji.json").read_text()).items():
            name, group = row["name"].lower(), row["group"]
            if "skin tone" in name or (group not in GROUPS and name not in PEOPLE):
                continue
            concept = concept_of(name)
            self.by_key[key(name)] = self.by_code[code("-".join(f"{ord(c):x}" for c in emoji))] = concept
            self.groups.setdefault(concept, group if group in GROUPS else "People")
            self.add_alias(concept, name)
        for row in json.loads((fetch(TABLE, work) / "emoji.json").read_text()):
            concept_or_none = self.by_code.get(code(row["unified"]))
            for name in [*row["short_names"], row.get("name") or ""] if concept_or_none else []:
                concept, plain = str(concept_or_none), re.sub("[_-]", " ", name.lower())
                if concept not in ("clock", "moon") and re.fullmatch("[a-z ]{3,}", plain):
                    self.add_alias(concept, plain)
                    self.by_key.setdefault(key(plain), concept)
                    self.by_key.setdefault(key(plain + " face"), concept)
        self.things = set()
        for line in (WORDNET / "data.noun").read_text().splitlines():
            fields = line.split(" | ")[0].split()
            if not line.startswith("  ") and int(fields[1]) in THING_FILES:
                self.things |= {w.replace("_", " ") for w in fields[4 : 4 + 2 * int(fields[3], 16) : 2] if w.islower()}

    def add_alias(self, concept: str, name: str) -> None:
        """Remember another name of a concept, to be used as a training text."""
        if name != concept and name not in self.aliases.setdefault(concept, []):
            self.aliases[concept].append(name)

    def free(self, name: str, prefix: bool) -> str | None:
        """The concept of a freely chosen file name: all of it or, for clip art, its longest leading noun."""
        words = [w for w in re.split("[^a-z0-9]+", name.lower()) if w and not w.isdigit() and w not in FILLER]
        for count in range(min(3, len(words)), 0, -1) if prefix else [len(words)]:
            noun = " ".join(words[:count])
            if len(noun) > 2 and noun not in NOT_NAMES:
                if key(noun) in self.by_key or noun in self.things:
                    return self.by_key.get(key(noun), noun)
                if noun.endswith("s") and len(noun) > 4 and noun[:-1] in self.things:
                    return self.by_key.get(key(noun[:-1]), noun[:-1])
        return None


def drawings(names: Names, work: Path) -> Iterator[tuple[str, str, str]]:
    """(style, concept, SVG text or file name) of every picture with a usable name."""
    for style, package in {**ICONIFY, **ICONIFY_FREE}.items():
        icons = json.loads((fetch(package, work) / "icons.json").read_text())
        for name, icon in icons["icons"].items():
            plain = re.sub(r"-\d+$", "", name)
            concept = names.by_key.get(key(plain)) if style in ICONIFY else names.free(plain, prefix=False)
            if concept and "skin-tone" not in name:
                width, height = (icon.get(side, icons.get(side, 16)) for side in ("width", "height"))
                yield (
                    style,
                    concept,
                    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
                    f'viewBox="{icon.get("left", 0)} {icon.get("top", 0)} {width} {height}">'
                    f"{icon['body'].replace('currentColor', '#000')}</svg>",
                )
    for kind in ("flat", "high-contrast", "modern"):
        for file in sorted((fetch(FLUENT, work) / "icons" / kind).glob("*.svg")):
            if key(file.stem) in names.by_key:
                yield f"fluent-{kind}", names.by_key[key(file.stem)], str(file)
    for file in sorted((fetch(GOOGLE, work) / "img/google/64").glob("*.png")):
        if code(file.stem) in names.by_code:
            yield "google-6", names.by_code[code(file.stem)], str(file)
    for folder in CLIPART_FOLDERS:
        for file in sorted((fetch(CLIPART, work) / "usr/share/openclipart/svg" / folder).rglob("*.svg")):
            concept = names.free(file.stem, prefix=True)
            wanted = not re.search("/(logos|icons|flags)", str(file)) and file.stat().st_size <= 400_000
            if concept and wanted:
                yield "openclipart", concept, str(file)


def rasterise(source: str) -> np.ndarray | None:
    """SVG text, SVG file or PNG file -> RGBA square cropped to the drawing, or None where that fails."""
    try:
        if source.endswith(".png"):
            picture = Image.open(source).convert("RGBA")
        else:
            svg = source if source.startswith("<svg") else Path(source).read_text(errors="replace")
            png = resvg_py.svg_to_bytes(svg_string=svg, width=160, skip_system_fonts=True)
            picture = Image.open(io.BytesIO(bytes(png))).convert("RGBA")
        box = picture.getchannel("A").point(lambda level: 255 if level > 8 else 0).getbbox()
        if box is None or max(picture.size) > 4 * min(picture.size):
            return None
        drawing = picture.convert("RGBa").crop(box)  # premultiplied: edges stay clean when resized
        side = max(drawing.size)
        square = Image.new("RGBa", (side, side))
        square.paste(drawing, ((side - drawing.width) // 2, (side - drawing.height) // 2))
        pixels = np.asarray(square.resize((SIZE, SIZE), Image.Resampling.LANCZOS).convert("RGBA"))
        return pixels if pixels[..., 3].mean() > 12 else None
    except (OSError, ValueError):
        return None


def main(work: Path) -> None:
    """Rasterise everything, drop near-duplicates within a concept, and write the arrays."""
    names = Names(work)
    jobs = list(drawings(names, work))
    with Pool() as pool:
        made = pool.map(rasterise, [job[2] for job in jobs], chunksize=50)
    kept: list[int] = []
    small: dict[str, list[np.ndarray]] = {}
    for i, pixels in enumerate(made):
        if pixels is not None:
            coarse = pixels[::4, ::4].astype(np.float32)
            flat = coarse[..., :3] * coarse[..., 3:] / 255 + 255 - coarse[..., 3:]
            if all(np.abs(flat - other).mean() > 6 for other in small.get(jobs[i][1], [])):
                small.setdefault(jobs[i][1], []).append(flat)
                kept.append(i)
    np.save(work / "pictures.npy", np.stack([made[i] for i in kept]))
    styles, concepts = [jobs[i][0] for i in kept], [jobs[i][1] for i in kept]
    table = {"style": styles, "concept": concepts, "aliases": names.aliases, "groups": names.groups}
    (work / "pictures.json").write_text(json.dumps(table))
    print(len(kept), "pictures,", len(set(concepts)), "concepts;", dict(Counter(styles)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
