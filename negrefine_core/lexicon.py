"""Candidate words for negative labels, from WordNet 3.0 (paper, section 4.1), and what WordNet knows of a word."""

import csv
import hashlib
import io
import re
import warnings
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from . import paths
from .errors import NegRefineError
from .labels import ADJECTIVE_PHRASES, adjective_phrase

# Lexicographer files the paper draws from: 21 of WordNet's 26 noun files (without animal, food, group, person,
# quantity) and the adjectives.
NOUN_FILES = (
    "noun.Tops", "noun.act", "noun.artifact", "noun.attribute", "noun.body", "noun.cognition", "noun.communication",
    "noun.event", "noun.feeling", "noun.location", "noun.motive", "noun.object", "noun.phenomenon", "noun.plant",
    "noun.possession", "noun.process", "noun.relation", "noun.shape", "noun.state", "noun.substance", "noun.time",
)  # fmt: skip
ADJECTIVE_FILES = ("adj.all", "adj.ppl")


@dataclass(frozen=True)
class Candidates:
    """Words that may become negative labels; `adjective_phrases[i]` is `adjectives[i]` with its phrase drawn."""

    nouns: tuple[str, ...]
    adjectives: tuple[str, ...]
    adjective_phrases: tuple[str, ...]


@lru_cache(maxsize=1)
def bundled_first_lemmas() -> tuple[tuple[str, str], ...]:
    """(first lemma, lexicographer file) of each noun and adjective synset, as derived from the bundled WordNet."""
    with (paths.LEXICON / "first_lemmas.csv").open(encoding="utf-8", newline="") as file:
        return tuple((row["lemma"], row["lexname"]) for row in csv.DictReader(file))


@lru_cache(maxsize=1)
def blocked_words() -> frozenset[str]:
    """The word filter's list: sexual, obscene and slurring terms (`data/lexicon/blocked_words.txt`)."""
    lines = (paths.LEXICON / "blocked_words.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(line.strip() for line in lines if line.strip() and not line.startswith("#"))


def is_blocked(word: str) -> bool:
    return word in blocked_words() or not blocked_words().isdisjoint(re.split(r"[^a-z]+", word))


def candidates(
    id_labels: Iterable[str],
    *,
    seed: int = 0,
    word_filter: bool = False,
    noun_files: Iterable[str] = NOUN_FILES,
    adjective_files: Iterable[str] = ADJECTIVE_FILES,
    first_lemmas: Iterable[tuple[str, str]] | None = None,
) -> Candidates:
    """First lemmas of the chosen lexicographer files: lower-cased, deduplicated, without the ID labels.

    ID labels are compared case-insensitively (the paper compares case-sensitively). An adjective that is also a
    candidate noun counts as a noun. `first_lemmas` is another WordNet's list, from `WordNet.first_lemmas()`.

    Raises NegRefineError for an unknown lexicographer file or when no candidate is left.
    """
    lemmas = bundled_first_lemmas() if first_lemmas is None else tuple(first_lemmas)
    noun_files, adjective_files = frozenset(noun_files), frozenset(adjective_files)
    check_files(noun_files | adjective_files, lemmas)
    taken = {label.casefold() for label in id_labels}

    def words(files: frozenset[str], excluded: set[str]) -> dict[str, None]:
        found = (lemma.lower().replace("_", " ") for lemma, lexname in lemmas if lexname in files)
        return dict.fromkeys(w for w in found if w not in excluded and not (word_filter and is_blocked(w)))

    nouns = words(noun_files, taken)
    adjectives = words(adjective_files, taken | nouns.keys())
    if not nouns and not adjectives:
        raise NegRefineError("no candidate words are left; choose more lexicographer files")
    return Candidates(tuple(nouns), tuple(adjectives), tuple(adjective_phrase(word, seed) for word in adjectives))


def check_files(files: Iterable[str], first_lemmas: Iterable[tuple[str, str]] | None = None) -> None:
    """Raise NegRefineError where these are not all lexicographer files of WordNet's."""
    known = {lexname for _, lexname in first_lemmas or bundled_first_lemmas()}
    unknown = set(files) - known
    if unknown:
        raise NegRefineError(
            f"WordNet has no lexicographer file {', '.join(sorted(unknown))}; its files are {', '.join(sorted(known))}"
        )


@dataclass(frozen=True)
class Sense:
    """One sense of a word: WordNet's name for it, its lexicographer file, such as noun.animal, its definition, and its
    hypernyms from the root downwards."""

    name: str
    file: str
    definition: str
    hypernyms: tuple[str, ...]
    is_instance: bool


class WordNet:
    """WordNet's knowledge of words, loaded on first use (about 3 s).

    `source`: `"bundled"` for the database shipped with the project, `"nltk"` for the one that the user's nltk has
    installed, or a folder that holds `corpora/wordnet.zip`.
    """

    def __init__(self, source: str | Path = "bundled") -> None:
        self.source = source

    @cached_property
    def _reader(self) -> Any:  # nltk ships no types
        import nltk
        from nltk.corpus.reader.wordnet import WordNetCorpusReader

        class Reader(WordNetCorpusReader):  # type: ignore[misc]
            def open(self, file: str) -> io.TextIOWrapper:
                """nltk's own way goes through an unpacked file a few bytes at a time, which takes seconds."""
                return io.TextIOWrapper(self._root.join(file).open(), self._ENCODING)

            def _load_lemma_pos_offset_map(self) -> None:
                """As nltk reads the index, without its call for each of a million words."""
                satellites = getattr(self, "satellite_offsets", ())
                for part in self._FILEMAP.values():
                    with self.open(f"index.{part}") as lines:
                        for line in lines:
                            if line.startswith(" "):  # the licence
                                continue
                            lemma, pos, count, *rest = line.split()
                            offsets = [int(offset) for offset in rest[-int(count) :]]
                            self._lemma_pos_offset_map[lemma][pos] = offsets
                            if pos == "a":
                                self._lemma_pos_offset_map[lemma]["s"] = [o for o in offsets if o in satellites]

            def map_wn(self, version: str = "wordnet") -> None:
                """No map to the WordNet on nltk's path, which may be another or broken: only translations use it."""

        try:
            if self.source == "nltk":
                root = nltk.data.find("corpora/wordnet.zip/wordnet/")
            else:
                folder = _private_copy(paths.LEXICON if self.source == "bundled" else Path(self.source))
                if str(folder) not in nltk.data.path:  # nltk reads nothing outside its path
                    nltk.data.path.append(str(folder))
                root = nltk.data.find("corpora/wordnet.zip/wordnet/", [str(folder)])
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="The multilingual functions")  # they are not used here
                return Reader(root, None)
        except (LookupError, ValueError, OSError, BadZipFile, zlib.error) as error:
            reason = str(error).strip("* \n").partition("\n")[0]
            advice = "use 'bundled', or install it for nltk with python -m nltk.downloader wordnet"
            if self.source == "bundled":
                advice = f"{paths.LEXICON} is damaged: install the project again"
            raise NegRefineError(f"cannot load WordNet from {self.source!r}; {advice} ({reason})") from error

    @property
    def version(self) -> str:
        return str(self._reader.get_version())

    def first_lemmas(self) -> list[tuple[str, str]]:
        """(first lemma, lexicographer file) of every noun and adjective synset, in the database's order (10 s)."""
        return [(s.lemma_names()[0], s.lexname()) for pos in "na" for s in self._reader.all_synsets(pos)]

    @lru_cache(maxsize=16384)  # noqa: B019 - one WordNet lives as long as its judge
    def _nouns(self, word: str) -> list[Any]:
        return list(self._reader.synsets(word.strip().replace(" ", "_"), pos="n"))

    def senses(self, word: str, usual_file: str = "") -> list[Sense]:
        """All noun and adjective senses of a word, those of a lexicographer file first and else the most frequent.

        Of an adjective's phrase that WordNet lacks they are the adjective's; empty for a word WordNet does not have.
        """
        synsets = self._nouns(word) + self._reader.synsets(word.strip().replace(" ", "_"), pos="a")
        head, _, last = word.rpartition(" ")
        if not synsets and head and last in ADJECTIVE_PHRASES:
            synsets = self._reader.synsets(head.strip().replace(" ", "_"), pos="a")
        found = [
            Sense(
                name=s.name(),
                file=s.lexname(),
                definition=s.definition(),
                hypernyms=tuple(h.lemma_names()[0].replace("_", " ") for h in s.hypernym_paths()[0]),
                is_instance=bool(s.instance_hypernyms()),
            )
            for s in synsets
        ]
        return sorted(found, key=lambda sense: sense.file != usual_file)

    def definition(self, word: str) -> str:
        """That of its most frequent noun sense, else of its most frequent adjective sense; empty without one."""
        name = word.strip().replace(" ", "_")
        found = self._reader.synsets(name, pos="n")[:1] or self._reader.synsets(name, pos="a")[:1]
        return str(found[0].definition()) if found else ""

    def is_noun(self, word: str) -> bool:
        """True when WordNet has a noun sense of the word."""
        return bool(self._nouns(word))

    def is_proper_noun(self, word: str) -> bool:
        """True when every noun sense of the word is an instance (a city, a person), and there is one."""
        synsets = self._nouns(word)
        return bool(synsets) and all(s.instance_hypernyms() for s in synsets)

    def is_subcategory(self, word: str, label: str) -> bool:
        """True when some noun sense of `word` is a (transitive) hyponym of some noun sense of `label`."""
        return not self._ancestors(word).isdisjoint(s.name() for s in self._nouns(label))

    def usual_file(self, labels: Iterable[str]) -> str:
        """The lexicographer file, such as noun.animal, in which three of four labels have a sense; "" without one."""
        senses = [{synset.lexname() for synset in synsets} for label in labels if (synsets := self._nouns(label))]
        common = Counter(file for files in senses for file in sorted(files)).most_common(1)
        return next((file for file, count in common if count >= 0.75 * len(senses)), "")

    def other_sense(self, word: str, label: str, file: str) -> str:
        """The definition of the sense of `label` that `word` is a hyponym of, where none of these senses is of the
        lexicographer file but another sense of the label is: a handstamp is a seal, but not the animal. Else ""."""
        ancestors, synsets = self._ancestors(word), self._nouns(label)
        meant = [synset for synset in synsets if synset.name() in ancestors]
        if not meant or file in {s.lexname() for s in meant} or file not in {s.lexname() for s in synsets}:
            return ""
        return str(meant[0].definition())

    def spellings(self, word: str) -> frozenset[str]:
        """How WordNet writes the word in its noun senses: 'Etna' the volcano, 'etna' the spirit burner."""
        spelt = word.strip().replace(" ", "_").casefold()
        names = {name for synset in self._nouns(word) for name in synset.lemma_names()}
        return frozenset(name.replace("_", " ") for name in names if name.casefold() == spelt)

    def is_taxon(self, word: str) -> bool:
        """True when a noun sense of the word is a biological genus, family or the like, which WordNet takes for a group
        of living things and not for one of them."""
        return "taxonomic_group.n.01" in self._ancestors(word)

    def common_ground(self, word: str, label: str) -> tuple[str, float]:
        """What the two have in common: the lowest hypernym of their nearest noun senses, and how near they are, from 0
        to 1 (Wu and Palmer's similarity). ("", 0) where WordNet lacks one of them."""
        pairs = [(a, b) for a in self._nouns(word) for b in self._nouns(label)]
        near = [(a.wup_similarity(b) or 0.0, a, b) for a, b in pairs]
        if not near:
            return "", 0.0
        nearness, a, b = max(near, key=lambda pair: pair[0])
        shared = a.lowest_common_hypernyms(b)
        return (shared[0].lemma_names()[0].replace("_", " ") if shared else ""), float(nearness)

    @lru_cache(maxsize=4096)  # noqa: B019 - one WordNet lives as long as its judge
    def _ancestors(self, word: str) -> frozenset[str]:
        above = (s.closure(lambda x: x.hypernyms() + x.instance_hypernyms()) for s in self._nouns(word))
        return frozenset(ancestor.name() for closure in above for ancestor in closure)


def bundled_digest() -> str:
    """What tells the bundled WordNet from another version of it."""
    return _digest((paths.LEXICON / "corpora" / "wordnet.zip").read_bytes())


def _private_copy(folder: Path) -> Path:
    """A copy of the WordNet archive in the cache: nltk refuses one that others could write to, as a clone may be.

    The copy lies in a folder named by the archive's digest, and is made anew where it differs from it.
    """
    archive = folder / "corpora" / "wordnet.zip"
    content = archive.read_bytes()
    digest = _digest(content)
    target = paths.CACHE / "wordnet" / digest / "corpora"
    copy = target / archive.name
    try:
        if not copy.exists() or _digest(copy.read_bytes()) != digest:
            _check_archive(content)
            target.mkdir(parents=True, exist_ok=True)
            for directory in (target, target.parent):
                directory.chmod(0o700)
            paths.write_atomically(copy, content)
    except OSError as error:
        raise NegRefineError(
            f"cannot keep a copy of WordNet in {target} ({error.strerror}); free some space on that disk or check its "
            f"permissions, or delete {target.parent}"
        ) from error
    return target.parent


def _check_archive(content: bytes) -> None:
    """Raise BadZipFile where a file of the archive is damaged: nltk would find out half-way."""
    with ZipFile(io.BytesIO(content)) as archive:
        damaged = archive.testzip()
    if damaged:
        raise BadZipFile(f"{damaged} is damaged")


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
