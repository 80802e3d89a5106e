"""Runs that are written through the Run API, without a model where its scores and verdicts can be drawn."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from negrefine_core import overrides, pipeline
from negrefine_core.judge import Question
from negrefine_core.methods import METHODS
from negrefine_core.records import Answer, Kind, Negative, Verdict
from negrefine_core.runs import Run, Settings
from tests.support.markup import MARKUP, NAME

# --- scored without a model ------------------------------------------------------------------------------------------

N_IMAGES = 30


def write_run(name: str, runs: Path, pictures: Path) -> Run:
    """A finished run of two image sets with drawn scores; its last OOD path tries to leave its folder."""
    roots = {image_set: str(pictures / image_set) for image_set in ("animals", "food")}
    settings = Settings(id_images=roots["animals"], ood_images={"food": roots["food"]})
    run = Run.create(name, settings, ["cat", "*dog*", "fox", "owl", "bee"], runs)
    run.update_info(model={"name": "drawn", "fingerprint": "0123456789abcdef"})
    Image.new("RGB", (32, 32), "red").save(pictures / "outside.png")
    for seed, (image_set, centre) in enumerate({"animals": 1.9, "food": 1.3}.items()):
        files = [_write_picture(pictures / image_set, i) for i in range(N_IMAGES)]
        if image_set == "food":
            files[-1] = "../outside.png"
        skipped = [("broken/x.png", "not a picture")] if image_set == "food" else []
        run.write_scores(image_set, Path(roots[image_set]), drawn_scores(files, centre, seed), skipped=skipped)
    pipeline.evaluate(run, "animals", ["food"], n_bootstrap=20)
    return run


def _write_picture(folder: Path, i: int) -> str:
    path = folder / f"kind_{i % 3}" / f"{i}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30), (8 * i % 256, 90, 160)).save(path)
    return path.relative_to(folder).as_posix()


def drawn_scores(files: list[str], centre: float, seed: int) -> pd.DataFrame:
    """An image set's table of scores, each method's drawn around `centre`; the same labels match every image."""
    generator = np.random.default_rng(seed)
    table = pd.DataFrame({"path": files, "class": [path.split("/")[0] for path in files]})
    for score in METHODS:
        table[score.column] = generator.normal(centre, 0.3, len(files)).astype("float32")
    labels, similarities = ["cat", "*dog*", "fox"], np.array([28.0, 27.0, 25.5], dtype="float32")
    table["id_labels"] = [labels] * len(files)
    table["id_sims"] = pd.Series([similarities] * len(files))
    table["negative_labels"] = [["<b>pie</b>", "rust", "cat"]] * len(files)
    table["negative_sims"] = pd.Series([similarities - 1] * len(files))
    return table.assign(pair_id="cat", pair_negative="<b>pie</b>", pair_sim=np.float32(29.0))


# --- judged by two judges --------------------------------------------------------------------------------------------


def refined(run: Run) -> Run:
    """The run with five mined negatives, of which the judge rejects two; a second judge rejects one of them."""
    run.write_initial_negatives([Negative(x, "noun", 0.1) for x in ("paris", "<b>poodle</b>", "rust", "mud", "sky")])
    with run.verdict_log() as log:
        for judge in ("wordnet", "second"):
            dog: Answer = "yes" if judge == "wordnet" else "no"
            log.append(_answered("paris", "proper noun", None, "yes", judge))
            log.append(_answered("bpoodleb", "subcategory", "*dog*", dog, judge))
            log.append(_answered("rust", "proper noun", None, "no", judge))
    run.update_info(judge="wordnet")
    run.write_negatives(overrides.final_negatives(run))
    return run


def answered_whole(run: Run, judge: str, rejected: dict[str, str | None]) -> None:
    """A judge's answers about every negative, to the first yes: proper nouns (None), and what is below an ID class."""
    with run.verdict_log() as log:
        for label in (negative.label for negative in run.reviewable):
            for id_label in (None, *run.id_labels):
                kind: Kind = "subcategory" if id_label else "proper noun"
                is_yes = label in rejected and rejected[label] == id_label
                log.append(_answered(label, kind, id_label, "yes" if is_yes else "no", judge))
                if is_yes:
                    break


def _answered(negative: str, kind: Kind, id_label: str | None, answer: Answer, judge: str) -> Verdict:
    prompt = f"{negative}: {kind} {id_label or ''}"
    return Verdict(negative, kind, id_label, 0.5, prompt, answer.title(), answer, judge, "", 0.0)


# --- to review -------------------------------------------------------------------------------------------------------

ANIMALS = ("bat", "bear", "cat", "cow")
HOSTILE = "<b>*owl*</b>"
NOUNS = ["granite", "common sage", "oslo", "bear garden", "banana", "avocado", "velvet", "cat", "bagel", "barn"]
REVIEWED_IDS = [*ANIMALS, "safe", HOSTILE]


def write_verdicts(run: Run) -> None:
    """oslo: a proper noun; common sage: wrongly below "safe"; bear garden below "bear"; cat: the same."""
    run.write_initial_negatives(Negative(word, "noun", 0.1 + i / 100) for i, word in enumerate(NOUNS))
    rejected = {"oslo": None, "common sage": "safe", "bear garden": "bear", "cat": "cat"}
    with run.verdict_log() as log:
        for word in NOUNS:
            if rejected.get(word, "") is None:
                log.append(_replied(word, None, "yes"))
                continue
            log.append(_replied(word, None, "no"))
            log.append(_replied(word, HOSTILE, "no"))
            if word in rejected:
                log.append(_replied(word, rejected[word], "yes"))
        log.append(_replied("oslo", None, "no", "another judge"))
    run.update_info(judge="llm")
    run.write_negatives(overrides.final_negatives(run))


def _replied(negative: str, id_label: str | None, answer: Answer, judge: str = "llm") -> Verdict:
    """A language model's verdict, with a reply that would be HTML if it were obeyed."""
    kind: Kind = "subcategory" if id_label else "proper noun"
    if negative == id_label:
        kind = "same"
    return Verdict(
        negative=negative,
        kind=kind,
        id_label=id_label,
        similarity=0.5 if id_label else None,
        prompt=Question(negative, kind, id_label).prompt,
        reply="Yes <script>" if answer == "yes" else "no",
        answer=answer,
        judge=judge,
        time="2026-01-01T00:00:00+00:00",
        latency=0.1,
    )


# --- to score --------------------------------------------------------------------------------------------------------

IDS = ["cat", "dog", "fox", "owl", "bee", "cow"]
WORDS = ["rust", "paris", "tulip", "gooey", "hammer", "sky", "poodle", "soup", "river", "lamp", "salt", "wheel"]


def refined_run(name: str, model: str) -> Run:
    """A mined and refined run of a few labels, without scores."""
    run = Run.create(name, Settings(model=model, n_groups=2), IDS)
    run.write_initial_negatives([Negative(word, "noun", 0.1) for word in WORDS])
    run.write_negatives([Negative(word, "noun", 0.1) for word in WORDS])
    return run


# --- from a stranger -------------------------------------------------------------------------------------------------


def write_hostile_run(name: str, runs: Path, pictures: Path) -> Run:
    """A finished run whose every name, label, reply and reason would be markup if it were obeyed."""
    inside, outside = f"{NAME} ID", NAME
    id_labels = [MARKUP, f"{MARKUP} 2", "cat", "owl"]
    settings = Settings(id_images=str(pictures / "id"), ood_images={outside: str(pictures / "ood")}, n_groups=2)
    run = Run.create(name, settings, id_labels, runs)
    noted: dict[str, object] = {
        "model": {"name": MARKUP, "fingerprint": MARKUP, "precision": MARKUP},
        "device": MARKUP,
        "versions": {MARKUP: MARKUP},
        "edited_from": MARKUP,
        "published": {"source": MARKUP, "arch": MARKUP, "id_set": MARKUP, "seconds": {MARKUP: 1.0}},
    }
    run.update_info(**noted)
    words = ["paris", "poodle", "rust", "mud", "sky", MARKUP]
    run.write_initial_negatives([Negative(word, "noun", 0.1) for word in words])
    with run.verdict_log() as log:
        for i, word in enumerate(word for word in words if word != MARKUP):
            for judge in (MARKUP, "wordnet"):
                for id_label, answer in ((None, "no"), (MARKUP, "yes" if i < 3 else "no")):
                    log.append(_hostile_verdict(word, id_label, answer, judge))  # type: ignore[arg-type]
    run.update_info(judge=MARKUP)
    run.write_negatives(overrides.final_negatives(run))
    overrides.override(run, ["poodle"], "kept", MARKUP, MARKUP)
    for seed, (image_set, folder) in enumerate({inside: "id", outside: "ood"}.items()):
        files = []
        for i in range(6):
            file = pictures / folder / NAME / f"{NAME} {i}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (20, 20), (40 * i, 90, 160)).save(file)
            files.append(file.relative_to(pictures / folder).as_posix())
        table = drawn_scores(files, 1.9 - seed / 2, seed)
        table["id_labels"], table["negative_labels"] = [id_labels[:3]] * 6, [[MARKUP, "rust", "mud"]] * 6
        table = table.assign(pair_id=MARKUP, pair_negative=MARKUP)
        run.write_scores(image_set, pictures / folder, table, skipped=[(MARKUP, MARKUP)] * (image_set == outside))
    pipeline.evaluate(run, inside, [outside], n_bootstrap=20)
    return run


def _hostile_verdict(word: str, id_label: str | None, answer: Answer, judge: str) -> Verdict:
    kind: Kind = "subcategory" if id_label else "proper noun"
    prompt = f"{word} {id_label} {MARKUP}"
    return Verdict(word, kind, id_label, 0.5, prompt, MARKUP, answer, judge, MARKUP, 0.1, MARKUP)
