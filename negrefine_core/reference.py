"""Import of what the paper's published code writes into one folder: label lists, decision logs and results.

Text only: `initial_neg_labels_*.txt`, `llm_process_*.txt`, `neg_labels_*.txt`, `result.txt`. Pickles are never opened.
"""

import ast
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import BaseModel

from . import paths
from .errors import NegRefineError
from .judge import PUBLISHED, Answer, Kind, Question
from .labels import label_list
from .negfilter import N_NEAREST, clean_negatives
from .overrides import final_negatives, write_final_negatives
from .paths import RUNS, temporary_folder, writing
from .records import Negative, PartOfSpeech, Verdict
from .run_files.info import Published, PublishedResult
from .runs import Run, Settings, is_run_name

PARTS: tuple[tuple[str, PartOfSpeech], ...] = (("noun", "noun"), ("adj", "adjective"))
UNKNOWN = math.nan  # the published files keep no similarities

SKETCH = "imagenet_sketch"  # has prompts of its own
CLASS_LISTS = {  # the published `--in_dataset_name`: its class list in data/labels
    "imagenet": "imagenet-paper",
    "imagenetv2": "imagenet-paper",
    SKETCH: "imagenet-paper",
    "imagenetA": "imagenet-a-paper",
    "imagenetR": "imagenet-r-paper",
    "imagenet10": "imagenet-10",
    "imagenet20": "imagenet-20",
    "imagenet99": "imagenet-99",
    "imagenet100": "imagenet-100",
    "bird200": "cub-200-paper",
    "car196": "stanford-cars",
    "food101": "food-101",
    "pet37": "oxford-pets",
    "waterbird": "waterbirds",
}
MODELS: Mapping[str, tuple[str, str | None]] = {  # the published `--arch`: our model and its tag
    "ViT-B/16": ("paper", None),
    "ViT-B/32": ("ViT-B-32-quickgelu", "openai"),
    "ViT-L/14": ("ViT-L-14-quickgelu", "openai"),
    "ViT-L/14@336px": ("ViT-L-14-336-quickgelu", "openai"),
    "RN50": ("RN50-quickgelu", "openai"),
    "RN101": ("RN101-quickgelu", "openai"),
    "RN50x4": ("RN50x4-quickgelu", "openai"),
    "RN50x16": ("RN50x16-quickgelu", "openai"),
    "RN50x64": ("RN50x64-quickgelu", "openai"),
}
COUNTED: Mapping[str, Kind] = {  # the log's last lines
    "n_proper": "proper noun",
    "n_same": "same",
    "n_subcatgeory": "subcategory",
}
COUNTS = r"^number of (initial|final) .*nouns: (\d+), adj\w*: (\d+)"


@dataclass(frozen=True)
class _Folder:
    """Nouns, then adjectives: initial negatives as mined, verdicts in the log's order, final labels where listed.

    Here no label occurs twice: a word that is a noun and, with its phrase, an adjective too is a noun.
    """

    initial: tuple[Negative, ...]
    verdicts: tuple[Verdict, ...]
    final: tuple[Negative, ...] | None

    @property
    def final_labels(self) -> list[str]:
        nouns = _nouns(self.initial)
        return [n.label for n in self.final or () if n.pos == "noun" or n.label not in nouns]


def import_reference(
    folder: str | Path,
    name: str | None = None,
    id_labels: Sequence[str] | None = None,
    runs: Path = RUNS,
    judge_model: str = "",
) -> Run:
    """Make a run of a published folder, with its final negatives in the published order.

    Args:
        name: of the run; the folder's name by default.
        id_labels: by default those of the ID set that `result.txt` names, word for word as the published code has them.
        judge_model: the language model that answered, which the published files do not say.

    Raises NegRefineError when a file is missing or damaged, when the files do not fit together, or when the ID labels
    or the model are unknown.
    """
    folder = Path(folder).expanduser()
    name = name or folder.resolve().name
    if is_run_name(name) and (runs / name).exists():
        raise _taken(name)
    read = _read_folder(folder)
    published = _results(folder, read)
    labels = label_list(id_labels) if id_labels else _published_labels(folder, published.id_set)
    verdicts = _of_these_classes(folder, read.verdicts, labels)
    _check_chains(folder, clean_negatives(read.initial), verdicts, labels)
    model, pretrained = _model(folder, published.arch)
    settings = Settings(
        model=model,
        pretrained=pretrained,
        seed=published.seed,
        sketch_templates=published.id_set == SKETCH,
        judge=PUBLISHED,
    )
    with writing(runs):
        runs.mkdir(parents=True, exist_ok=True)
    with writing(runs / name), temporary_folder(runs) as partial:  # a killed import leaves no half run
        run = Run.create(name, settings, labels, partial)
        run.write_initial_negatives(read.initial)
        with run.verdict_log() as log:
            for verdict in verdicts:
                log.append(verdict)
        negatives = final_negatives(run)
        if read.final is not None and [n.label for n in negatives] != read.final_labels:
            raise NegRefineError(
                f"{folder}: the log leaves {len(negatives)} negatives, neg_labels_*.txt lists "
                f"{len(read.final_labels)} others; one is cut or damaged, or the files belong to different runs"
            )
        write_final_negatives(run)
        run.update_info(published=published.model_copy(update={"judge": judge_model} if judge_model else {}))
        run.note_judge(PUBLISHED)
        try:
            run.folder.rename(runs / name)
        except OSError as error:
            if (runs / name).exists():  # another import of this name was done first
                raise _taken(name) from error
            raise
    return Run.open(name, runs)


def logged_verdicts(source: str, runs: Path = RUNS) -> list[Verdict]:
    """What a `ReplayJudge` answers from: a run's verdicts, by its name, or a published folder's log."""
    if (runs / source / "run.json").exists():
        run = Run.open(source, runs)
        return [verdict for verdict in run.verdicts if verdict.judge == run.judge]
    if not Path(source).expanduser().is_dir():
        raise NegRefineError(f"nothing to replay: {source!r} is neither a run nor a folder of the published format")
    return list(_read_folder(Path(source).expanduser()).verdicts)


def _taken(name: str) -> NegRefineError:
    return NegRefineError(f"there is a run {name!r} already; choose another with --name")


def _damaged(path: Path, what: str) -> NegRefineError:
    return NegRefineError(f"{path} is cut or damaged: {what}; copy it again from where the published code wrote it")


# --- label lists and logs ---------------------------------------------------------------------------------------------


def _read_folder(folder: Path) -> _Folder:
    initial: list[Negative] = []
    verdicts: list[Verdict] = []
    final: list[Negative] = []
    listed = [(folder / f"neg_labels_{part}.txt").exists() for part, _ in PARTS]
    for part, pos in PARTS:
        nouns = _nouns(initial)
        initial += [Negative(label, pos, UNKNOWN) for label in _lines(folder / f"initial_neg_labels_{part}.txt")]
        log = read_log(folder / f"llm_process_{part}.txt")
        verdicts += [verdict for verdict in log if verdict.negative not in nouns]
        if any(listed):
            final += [Negative(label, pos, UNKNOWN) for label in _lines(folder / f"neg_labels_{part}.txt")]
    if not initial:
        raise _damaged(folder / "initial_neg_labels_noun.txt", "there are no labels in it")
    return _Folder(tuple(initial), tuple(verdicts), tuple(final) if any(listed) else None)


def _nouns(initial: Iterable[Negative]) -> set[str]:
    return {negative.label for negative in clean_negatives(initial) if negative.pos == "noun"}


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text(encoding="utf-8-sig").split("\n") if line.strip()]
    except UnicodeDecodeError as error:
        raise NegRefineError(f"{path} is not UTF-8 text (byte {error.start})") from error
    except OSError as error:
        raise NegRefineError(
            f"cannot read {path} ({error.strerror}); a published folder holds initial_neg_labels_*.txt and "
            "llm_process_*.txt of the nouns (noun) and the adjectives (adj), and neg_labels_*.txt of both or none"
        ) from error


def read_log(path: Path) -> list[Verdict]:
    """The verdicts of a published log, in its order: `negative | proper noun` or `negative | ID class | verdict`.

    The log passes over a proper-noun question that was answered no; it is put back before the label's classes.

    Raises NegRefineError for another line, and where the counts at its end are not those of its lines.
    """
    verdicts: list[Verdict] = []
    counts: dict[str, int] = {}
    asked, ends = "", False
    for number, line in enumerate(_lines(path), 1):
        count = re.fullmatch(r"(n_\w+): (\d+)", line)
        if count:
            counts[count[1]] = int(count[2])
        elif re.fullmatch(r"-+", line):
            ends = True
        elif ends or counts:
            raise _damaged(path, f"line {number} comes after its end")
        else:
            asked = _read_line(line, asked, verdicts, f"{path}, line {number}")
    yes = Counter(verdict.kind for verdict in verdicts if verdict.answer == "yes")
    expected = {name: yes[kind] for name, kind in COUNTED.items()}
    if (ends or counts) and counts != expected:
        said, found = (", ".join(f"{name} {n}" for name, n in c.items()) or "nothing" for c in (counts, expected))
        raise _damaged(path, f"its end counts {said}, its lines {found}")
    return verdicts


def _read_line(line: str, asked: str, verdicts: list[Verdict], place: str) -> str:
    """Add what a line says, and return its negative, which holds no "|" but may end in blanks; a class may hold it."""
    proper = re.fullmatch(r"([^|]*) \| proper noun *", line)
    judged = re.fullmatch(r"([^|]*) \| (.+) \| *(|subcategory|same|the same) *", line)
    found = proper or judged
    if not found:
        raise NegRefineError(f"{place}: {line[:80]!r} is not 'negative | ID class | verdict'")
    negative: str = found[1]
    if proper:
        verdicts.append(_verdict(negative, "proper noun", None, "yes"))
    elif judged:
        if negative != asked:
            verdicts.append(_verdict(negative, "proper noun", None, "no"))
        kind: Kind = "same" if judged[3].endswith("same") else "subcategory"
        verdicts.append(_verdict(negative, kind, judged[2], "yes" if judged[3] else "no"))
    return negative


def _verdict(negative: str, kind: Kind, id_label: str | None, answer: Answer) -> Verdict:
    prompt = Question(negative, kind, id_label).prompt
    return Verdict(negative, kind, id_label, None, prompt, "", answer, PUBLISHED, "", 0.0)  # no raw reply was kept


def _of_these_classes(folder: Path, verdicts: Sequence[Verdict], id_labels: Sequence[str]) -> list[Verdict]:
    """The verdicts with the ID labels as the class list writes them: blanks at their ends may differ."""
    near = {label.strip(): label for label in id_labels}
    classes = {verdict.id_label for verdict in verdicts if verdict.id_label}
    other = {name: near.get(name.strip(), "") for name in classes - set(id_labels)}
    unknown = sorted(name for name, label in other.items() if not label)
    if unknown:
        raise NegRefineError(
            f"the log in {folder} asks about {len(unknown)} classes that the ID labels lack, such as "
            f"{unknown[0]!r}; give the class list of that run with --id-labels"
        )
    return [replace(v, id_label=other[v.id_label]) if v.id_label and v.id_label in other else v for v in verdicts]


def _check_chains(
    folder: Path, negatives: Iterable[Negative], verdicts: Iterable[Verdict], id_labels: Sequence[str]
) -> None:
    """Raise where the logs do not ask each negative, class by class, to its first yes or its last class."""
    n_classes = min(N_NEAREST, len(id_labels))
    allowed = Counter([None, *id_labels])  # None stands for the proper-noun question
    chains: dict[str, list[Verdict]] = {negative.label: [] for negative in negatives}
    for verdict in verdicts:
        if verdict.negative not in chains:
            raise NegRefineError(
                f"the log in {folder} asks about {verdict.negative!r}, which initial_neg_labels_*.txt lack; one of "
                "them is cut or damaged, or they belong to different runs"
            )
        chains[verdict.negative].append(verdict)
    for label, chain in chains.items():
        answers = [verdict.answer for verdict in chain]
        if "yes" in answers[:-1] or len(chain) > n_classes + 1:
            raise NegRefineError(f"the log in {folder} goes on to ask about {label!r} after its last question")
        if any(times > allowed[name] for name, times in Counter(verdict.id_label for verdict in chain).items()):
            raise NegRefineError(f"the log in {folder} asks about {label!r} twice: its lines are mixed up")
        if "yes" not in answers and len(chain) < n_classes + 1:
            raise NegRefineError(
                f"the log in {folder} ends its questions on {label!r} after {max(len(chain) - 1, 0)} of {n_classes} "
                "classes without a yes: it is cut, or the published code was stopped; let it run to its end"
            )


# --- result.txt -------------------------------------------------------------------------------------------------------


class _Arguments(BaseModel):
    """Of the published command line, which `result.txt` begins with."""

    in_dataset_name: str
    ood_dataset_name_list: list[str]
    arch: str
    seed: int


def _results(folder: Path, read: _Folder) -> Published:
    """Seed, architecture, ID set, seconds of each step, and AUROC and FPR@95 of each OOD set, as in `result.txt`.

    Raises NegRefineError where the file does not read as the published code writes it, or counts other labels.
    """
    path = folder / "result.txt"
    if not path.exists():
        return Published()
    lines = _lines(path)
    text = "\n".join(lines)
    given = _arguments(path, lines)
    for step, nouns, adjectives in re.findall(COUNTS, text, re.MULTILINE):
        labels = read.initial if step == "initial" else read.final
        found = Counter(negative.pos for negative in labels or ())
        if labels is not None and (found["noun"], found["adjective"]) != (int(nouns), int(adjectives)):
            raise NegRefineError(
                f"{path} counts {nouns} {step} nouns and {adjectives} adjectives, the label lists beside it hold "
                f"{found['noun']} and {found['adjective']}; one is cut or damaged, or they belong to different runs"
            )
    seconds = re.findall(r"^--- (.+)\n(?:(?!---).*\n)*?time: ([\d.]+) seconds$", text, re.MULTILINE)
    sets = re.findall(r"^-+ (\S+) -+\n\S+\s+auroc: (\S+)\s+fpr: (\S+)$", text, re.MULTILINE)
    if "--- Final results" in lines and [name for name, _, _ in sets] != given.ood_dataset_name_list:
        raise _damaged(path, f"it has results of {len(sets)} of {len(given.ood_dataset_name_list)} OOD sets")
    if len(seconds) != sum(line.startswith("time:") for line in lines):
        raise _damaged(path, "a time in it is no number of seconds")
    return Published(
        source="result.txt of the published code",
        seed=given.seed,
        arch=given.arch,
        id_set=given.in_dataset_name,
        seconds={step: _number(path, time, math.inf) for step, time in seconds},
        results={
            name: PublishedResult(auroc=_number(path, auroc), fpr95=_number(path, fpr)) for name, auroc, fpr in sets
        },
    )


def _arguments(path: Path, lines: Sequence[str]) -> _Arguments:
    """Read the line `Namespace(in_dataset_name='imagenet', ...)`, which is Python but is not run."""
    try:
        (line,) = (line for line in lines if line.startswith("Namespace("))
        call = ast.parse(line, mode="eval").body
        keywords = call.keywords if isinstance(call, ast.Call) else []
        return _Arguments.model_validate({word.arg: ast.literal_eval(word.value) for word in keywords}, strict=True)
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:  # as literal_eval's manual says
        raise _damaged(path, "it lacks the line Namespace(in_dataset_name=..., arch=..., seed=...)") from error


def _number(path: Path, text: str, highest: float = 1.0) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= highest:
        raise _damaged(path, f"{text[:80]!r} stands in place of a figure")
    return number


def _published_labels(folder: Path, id_set: str) -> list[str]:
    """The class list of a published ID set as it is, duplicates and all."""
    if id_set not in CLASS_LISTS:
        named = f"result.txt names the ID set {id_set!r}, which" if id_set else "without a result.txt the ID set"
        raise NegRefineError(f"{folder}: {named} is not known; give its classes in their order with --id-labels")
    return (paths.LABELS / f"{CLASS_LISTS[id_set]}.txt").read_text(encoding="utf-8").splitlines()


def _model(folder: Path, arch: str) -> tuple[str, str | None]:
    """(model, its pretrained tag) of a published architecture; without a result.txt the published default."""
    if (arch or "ViT-B/16") not in MODELS:
        raise NegRefineError(f"{folder}: result.txt names the CLIP model {arch!r}, none of {', '.join(MODELS)}")
    return MODELS[arch or "ViT-B/16"]
