"""Each file of a finished run and of the caches, damaged in every way; then everything is read and the steps go on."""

import json
import random
import re
import shutil
import sqlite3
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from negrefine_core import overrides, paths
from tests.faults.children import forked
from tests.faults.outcome import Outcome, Verdict
from tests.faults.reading import Everything, clear_lines, differing, read_everything, tracebacks
from tests.faults.trials import follow, read
from tests.faults.world import OTHER, RUN, SNAPSHOTS, World

START = "changed"
EARLIER = ("scored", "decided", "refined", "mined", "created")  # where older versions of a file are


@dataclass(frozen=True)
class Damage:
    """One way to damage a file; `do` returns False where this file cannot be damaged so."""

    name: str
    do: Callable[[Path, random.Random], object]


def _cut(path: Path, generator: random.Random) -> object:
    data = path.read_bytes()
    path.write_bytes(data[: generator.randrange(1, max(2, len(data)))])
    return len(data) > 1


def _cut_at_a_line(path: Path, generator: random.Random) -> object:
    lines = path.read_bytes().splitlines(keepends=True)
    if len(lines) < 3 or path.suffix not in (".txt", ".csv", ".jsonl", ".json"):
        return False
    path.write_bytes(b"".join(lines[: generator.randrange(1, len(lines))]))
    return True


def _empty(path: Path, _: random.Random) -> object:
    path.write_bytes(b"")
    return True


def _flip(path: Path, generator: random.Random) -> object:
    data = bytearray(path.read_bytes())
    if not data:
        return False
    data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
    path.write_bytes(data)
    return True


def _zero(path: Path, generator: random.Random) -> object:
    data = bytearray(path.read_bytes())
    size = min(256, len(data) // 2)
    if not size:
        return False
    start = generator.randrange(len(data) - size)
    if not any(data[start : start + size]):
        return False
    data[start : start + size] = bytes(size)
    path.write_bytes(data)
    return True


def _swap(path: Path, generator: random.Random) -> object:
    """Two lines of a text, two equal blocks of anything else."""
    data = path.read_bytes()
    if path.suffix in (".txt", ".csv", ".jsonl"):
        pieces = data.splitlines(keepends=True)
    else:
        pieces = [data[i : i + 256] for i in range(0, len(data), 256)]
    first = 1 if path.suffix == ".csv" else 0
    if len(pieces) < first + 3:
        return False
    i, j = generator.sample(range(first, len(pieces) - 1), 2)
    pieces[i], pieces[j] = pieces[j], pieces[i]
    path.write_bytes(b"".join(pieces))
    return path.read_bytes() != data


def _folder(path: Path, _: random.Random) -> object:
    path.unlink()
    path.mkdir()
    return True


def _deleted(path: Path, _: random.Random) -> object:
    path.unlink()
    return True


def _older(path: Path, generator: random.Random) -> object:
    """As it was in an earlier state."""
    inside, now = path.relative_to(paths.DATA), path.read_bytes()
    versions = [SNAPSHOTS / state / inside for state in EARLIER]
    versions = [version for version in versions if version.exists() and version.read_bytes() != now]
    if not versions:
        return False
    shutil.copyfile(generator.choice(versions), path)
    return True


def _anothers(path: Path, _: random.Random) -> object:
    """Another run's file of the same name."""
    other = Path(str(path).replace(f"/{RUN}/", f"/{OTHER}/"))
    if other == path or not other.exists() or other.read_bytes() == path.read_bytes():
        return False
    shutil.copyfile(other, path)
    return True


def _newer(path: Path, _: random.Random) -> object:
    """Of a format that this program does not know yet."""
    if path.name != "run.json":
        return False
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(content | {"format_version": 99, "future": [1]}), encoding="utf-8")
    return True


def _unknown_key(path: Path, generator: random.Random) -> object:
    """One more field in a line, column or object."""
    return _changed_records(path, generator, lambda record: record | {"unknown": 1})


def _wrong_type(path: Path, generator: random.Random) -> object:
    """A field that is a number, a text or a list becomes another kind of value."""

    def change(record: dict[str, object]) -> dict[str, object]:
        key = generator.choice(sorted(record))
        return record | {key: generator.choice([None, [], {"a": 1}, "text", -7])}

    return _changed_records(path, generator, change)


def _changed_records(
    path: Path, generator: random.Random, change: Callable[[dict[str, object]], dict[str, object]]
) -> object:
    match path.suffix:
        case ".json":
            path.write_text(json.dumps(change(json.loads(path.read_text(encoding="utf-8"))), indent=1))
        case ".jsonl":
            lines = path.read_text(encoding="utf-8").splitlines()
            i = generator.randrange(len(lines))
            lines[i] = json.dumps(change(json.loads(lines[i])))
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        case ".csv":
            lines = path.read_text(encoding="utf-8").splitlines()
            lines[-1] += ",1"
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        case ".parquet":
            table = pq.read_table(path)
            pq.write_table(table.set_column(2, table.column_names[2], pa.array(["x"] * len(table))), path)
        case ".sqlite":
            with sqlite3.connect(path) as database:
                database.execute("DROP TABLE replies")
                database.execute("CREATE TABLE replies (something TEXT)")
            database.close()
        case _:
            return False
    return True


WAYS: tuple[Damage, ...] = (
    Damage("cut", _cut),
    Damage("cut at a line's end", _cut_at_a_line),
    Damage("emptied", _empty),
    Damage("a bit flipped", _flip),
    Damage("a block of zeros", _zero),
    Damage("two pieces swapped", _swap),
    Damage("a folder in its place", _folder),
    Damage("deleted", _deleted),
    Damage("an older version", _older),
    Damage("another run's", _anothers),
    Damage("a newer format", _newer),
    Damage("an unknown key", _unknown_key),
    Damage("a wrong type", _wrong_type),
)
TIMES = 6
DRAWN = ("cut", "cut at a line's end", "a bit flipped", "a block of zeros", "two pieces swapped", "a wrong type")


def files() -> list[str]:
    """The files that are damaged: the run's own, and the caches."""
    state = SNAPSHOTS / START
    found = [*(state / "runs" / RUN).rglob("*"), *(state / "cache").rglob("*")]
    kept = (
        path
        for path in found
        if path.is_file()
        and path.suffix != ".lock"
        and not path.name.startswith(".")
        and "/images/own/" not in str(path)
    )
    return sorted(path.relative_to(state).as_posix() for path in kept)


def _go_on(world: World) -> None:
    """The steps that may follow: none may take what is damaged for sound."""
    world.refine()
    overrides.override(world.run(), world.labels("kept")[5:6], "dropped", "hal")
    overrides.undo(world.run(), "hal")
    world.score("animals", "food", "own")
    world.evaluate()


@dataclass(frozen=True)
class Sound:
    """What is read of the undamaged state, and after the steps went on from it."""

    now: Everything
    later: Everything


def sound(world: World) -> Sound:
    world.restore(START)
    now = read(world)
    ended = forked(lambda: _go_on(world))
    if ended.how != "done":
        raise RuntimeError(f"the steps cannot go on even undamaged: {ended.said}")
    return Sound(now, read(world))


def damage_trials(world: World, file: str, generator: random.Random, most: int | None) -> Iterator[Outcome]:
    """A file damaged in every way, those with chance in them several times; or so many drawn ways."""
    expected = sound(world)
    ways = [way for way in WAYS for _ in range(TIMES if way.name in DRAWN else 1)]
    tried = 0
    for way in ways if most is None else generator.sample(ways, len(ways)):
        world.restore(START)
        if tried != most and way.do(paths.DATA / file, generator) is not False:
            tried += 1
            yield _judged(world, file, way, expected)


def _is_seen(file: str, way: Damage, wrong: list[str], noticed: set[str], said: Collection[str]) -> bool:
    """Differences that are themselves what is said: scores or metrics that are gone, scores called outdated, a log
    that has lost lines, a run that says it is not mined, notes of an earlier day while every figure is as it was."""
    parts = {part.rpartition("/")[2] for part in wrong}
    if file.endswith("verdicts.jsonl"):
        return parts == {"answers"} and any("has lost lines or is another" in line for line in said)
    if file.endswith(".parquet"):
        is_gone = way.name == "deleted" and parts <= {"info", "outdated", "scores", "skipped", "marks"}
        return is_gone or (Path(file).stem in noticed and parts <= {"scores", "outdated"})
    if file.endswith("initial_negatives.csv"):
        return way.name == "deleted" and "mined" in parts and parts <= {"mined", "review", "reviews"}
    if "/selections/" in file:
        return way.name == "deleted" and parts == {"selections"}
    if file.endswith("metrics.json"):
        return way.name == "deleted" and parts == {"metrics"}
    return file.endswith("run.json") and way.name == "an older version" and parts == {"info"}


def _judged(world: World, file: str, way: Damage, expected: Sound) -> Outcome:
    step = re.sub(r"[0-9a-f]{32}/", "", file)

    def outcome(verdict: Verdict, said: str = "") -> Outcome:
        return Outcome("damage", step, way.name, verdict, said)

    first = forked(lambda: read_everything(world))
    if first.how != "done":
        return outcome("hung" if first.how == "hung" else "traceback", f"reading: {first.said}")
    if bad := tracebacks(first.value):
        return outcome("traceback", f"reading: {bad}")
    lines = clear_lines(first.value)
    noticed = set(first.value.get(f"{RUN}/outdated", expected.now[f"{RUN}/outdated"]).value or {})
    wrong = [key for key in differing(first.value, expected.now) if not (lines and key not in first.value)]
    if wrong and not _is_seen(file, way, wrong, noticed, lines.values()):
        return outcome("wrong", f"read without a word: {wrong}")
    told = list(lines.values())
    for _ in range(6):
        ended = forked(lambda: _go_on(world))
        if ended.how in ("hung", "traceback", "killed"):
            return outcome("hung" if ended.how == "hung" else "traceback", f"going on: {ended.said}")
        if ended.how == "done":
            break
        if ended.said in told[len(lines) :]:
            return outcome("clear", ended.said)  # nothing automatic leads further
        told.append(ended.said)
        advised = forked(partial(follow, world, ended.said))
        if advised.how in ("hung", "traceback"):
            return outcome("traceback", f"following {ended.said!r}: {advised.said}")
    found = forked(lambda: read_everything(world))
    if found.how != "done" or tracebacks(found.value):
        return outcome("traceback", f"reading after: {found.said or tracebacks(found.value)}")
    wrong = differing(found.value, expected.later)
    if file.endswith("run.json") and way.name == "an older version":  # what it noted since is noted no more
        wrong = [part for part in wrong if part != f"{RUN}/info"]
    if "/selections/" in file and way.name == "deleted":  # as a person may delete it: it is listed no more
        wrong = [part for part in wrong if part != f"{RUN}/selections"]
    if file.startswith("cache/"):  # embedded in another batch: scores that are all but equal may change their order
        wrong = [part for part in wrong if part != f"{RUN}/metrics"]
    if told:
        return outcome("clear", told[0])
    return outcome("wrong", f"after the steps, without a word: {wrong}") if wrong else outcome("equal")
