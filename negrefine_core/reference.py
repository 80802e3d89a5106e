"""Import of what the paper's published code writes into one folder: label lists, decision logs and results.

Text only: `initial_neg_labels_*.txt`, `llm_process_*.txt`, `neg_labels_*.txt`, `result.txt`. Pickles are never opened.
"""

import math
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from open_clip import IMAGENET_CLASSNAMES

from .errors import NegRefineError
from .judge import PUBLISHED, Answer, Kind, Question
from .mining import Negative, PartOfSpeech
from .negfilter import Verdict
from .overrides import final_negatives, judge_of, write_final_negatives
from .paths import RUNS
from .run_files.info import Published, PublishedResult
from .runs import Run, Settings

PARTS: tuple[tuple[str, PartOfSpeech], ...] = (("noun", "noun"), ("adj", "adjective"))
UNKNOWN = math.nan  # the published files keep no similarities


def import_reference(
    folder: str | Path, name: str | None = None, id_labels: Sequence[str] | None = None, runs: Path = RUNS
) -> Run:
    """Make a run of a published folder, with its final negatives in the published order.

    Args:
        name: of the run; the folder's name by default.
        id_labels: ImageNet's by default, all 1,000, of which two names occur twice, as in the paper.

    Raises NegRefineError when a file is missing or damaged, or when log and final lists disagree.
    """
    folder = Path(folder).expanduser()
    name = name or folder.resolve().name
    if (runs / name).exists():
        raise NegRefineError(f"there is a run {name!r} already; choose another with --name")
    labels = list(id_labels or IMAGENET_CLASSNAMES)
    initial, verdicts, final = _read_folder(folder)
    unknown = sorted({v.id_label for v in verdicts if v.id_label} - set(labels))
    if unknown:
        raise NegRefineError(
            f"the log in {folder} asks about {len(unknown)} classes that the ID labels lack, such as "
            f"{unknown[0]!r}; give the class list of that run"
        )
    published = _results(folder / "result.txt")
    settings = Settings(model="paper", seed=published.seed, judge=PUBLISHED)
    runs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=runs, prefix=".import-") as partial:  # a killed import leaves no half run
        run = Run.create(name, settings, labels, Path(partial))
        run.write_initial_negatives(initial)
        with run.verdict_log() as log:
            for verdict in verdicts:
                log.append(verdict)
        negatives = final_negatives(run)
        if final and [n.label for n in negatives] != final:
            raise NegRefineError(
                f"{folder}: the log leaves {len(negatives)} negatives, neg_labels_*.txt lists "
                f"{len(final)} others; the files belong to different runs"
            )
        write_final_negatives(run)
        run.update_info(judge=PUBLISHED, published=published)
        run.folder.rename(runs / name)
    return Run.open(name, runs)


def logged_verdicts(source: str, runs: Path = RUNS) -> list[Verdict]:
    """What a `ReplayJudge` answers from: a run's verdicts, by its name, or a published folder's log."""
    if (runs / source / "run.json").exists():
        run = Run.open(source, runs)
        return [verdict for verdict in run.verdicts if verdict.judge == judge_of(run)]
    if not Path(source).expanduser().is_dir():
        raise NegRefineError(f"nothing to replay: {source!r} is neither a run nor a folder of the published format")
    return _read_folder(Path(source).expanduser())[1]


def _read_folder(folder: Path) -> tuple[list[Negative], list[Verdict], list[str]]:
    """(initial negatives as mined, verdicts in the log's order, final labels) of nouns, then adjectives."""
    initial: list[Negative] = []
    verdicts: list[Verdict] = []
    final: list[str] = []
    for part, pos in PARTS:
        mined, log = folder / f"initial_neg_labels_{part}.txt", folder / f"llm_process_{part}.txt"
        initial += [Negative(label, pos, UNKNOWN) for label in _lines(mined)]
        verdicts += read_log(log)
        if (folder / f"neg_labels_{part}.txt").exists():
            final += _lines(folder / f"neg_labels_{part}.txt")
    return initial, verdicts, final


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
    except UnicodeDecodeError as error:
        raise NegRefineError(f"{path} is not UTF-8 text (byte {error.start})") from error
    except OSError as error:
        raise NegRefineError(
            f"cannot read {path} ({error.strerror}); a published folder holds initial_neg_labels_*.txt and "
            "llm_process_*.txt of the nouns (noun) and the adjectives (adj)"
        ) from error


def read_log(path: Path) -> list[Verdict]:
    """The verdicts of a published log, in its order: `negative | proper noun` or `negative | ID class | verdict`.

    The log passes over a proper-noun question that was answered no; it is put back before the label's classes.
    """
    verdicts: list[Verdict] = []
    asked = ""
    for number, line in enumerate(_lines(path), 1):
        if re.fullmatch(r"-+|n_\w+: \d+", line):  # its last lines: counts
            continue
        negative, *rest = line.split(" | ")  # a cleaned label may end in a space
        rest = [field.strip() for field in rest]
        if rest == ["proper noun"]:
            verdicts.append(_verdict(negative, "proper noun", None, "yes"))
        elif len(rest) == 2 and rest[1] in ("", "subcategory", "same"):
            if negative != asked:
                verdicts.append(_verdict(negative, "proper noun", None, "no"))
            kind: Kind = "same" if rest[1] == "same" else "subcategory"
            verdicts.append(_verdict(negative, kind, rest[0], "yes" if rest[1] else "no"))
        else:
            raise NegRefineError(f"{path}, line {number}: {line[:80]!r} is not 'negative | ID class | verdict'")
        asked = negative
    return verdicts


def _verdict(negative: str, kind: Kind, id_label: str | None, answer: Answer) -> Verdict:
    prompt = Question(negative, kind, id_label).prompt
    return Verdict(negative, kind, id_label, None, prompt, "", answer, PUBLISHED, "", 0.0)  # no raw reply was kept


def _results(path: Path) -> Published:
    """Seed, architecture, ID set, seconds of each step, and AUROC and FPR@95 of each OOD set, as in `result.txt`."""
    if not path.exists():
        return Published()
    text = "\n".join(_lines(path))
    seed, arch = re.search(r"\bseed=(\d+)", text), re.search(r"\barch='([^']*)'", text)
    id_set = re.search(r"\bin_dataset_name='([^']*)'", text)
    seconds = re.findall(r"^--- (.+)\n(?:(?!---).*\n)*?time: ([\d.]+) seconds$", text, re.MULTILINE)
    sets = re.findall(r"^-+ (\S+) -+\n\S+\s+auroc: ([\d.]+)\s+fpr: ([\d.]+)$", text, re.MULTILINE)
    return Published(
        source="result.txt of the published code",
        seed=int(seed[1]) if seed else 0,
        arch=arch[1] if arch else "",
        id_set=id_set[1] if id_set else "",
        seconds={step: float(time) for step, time in seconds},
        results={name: PublishedResult(auroc=float(auroc), fpr95=float(fpr)) for name, auroc, fpr in sets},
    )
