"""Candidate words, and what WordNet knows of a word."""

import os
import subprocess
import sys
import zipfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from negrefine_core import lexicon, paths
from negrefine_core.errors import NegRefineError
from negrefine_core.labels import ADJECTIVE_PHRASES, read_class_list
from negrefine_core.lexicon import ADJECTIVE_FILES, NOUN_FILES, WordNet, bundled_first_lemmas, candidates
from tests.support.project import ROOT


def test_imagenets_candidates_number_what_the_paper_draws_from_within_a_hundredth() -> None:
    words = candidates(read_class_list("imagenet").labels)
    assert len(words.nouns) == pytest.approx(46_850, rel=0.01)
    assert len(words.adjectives) == pytest.approx(10_200, rel=0.01)


def test_nearly_all_of_the_papers_mined_nouns_are_candidates(golden: Path) -> None:
    mined = (golden / "imagenet-seed0" / "initial_neg_labels_noun.txt").read_text(encoding="utf-8").split("\n")
    published = {line.strip() for line in mined if line.strip()}
    share = len(published & set(candidates([]).nouns)) / len(published)
    assert share > 0.99


def test_the_noun_files_are_wordnets_without_animals_food_groups_people_and_quantities() -> None:
    noun_files = {lexname for _, lexname in bundled_first_lemmas() if lexname.startswith("noun.")}
    left_out = {"noun.animal", "noun.food", "noun.group", "noun.person", "noun.quantity"}
    assert set(NOUN_FILES) == noun_files - left_out
    assert len(NOUN_FILES) == 21


@pytest.mark.slow
def test_the_bundled_list_is_a_fresh_walk_of_the_bundled_wordnet(wordnet: WordNet) -> None:
    assert wordnet.version == "3.0"
    assert tuple(wordnet.first_lemmas()) == bundled_first_lemmas()


def test_candidates_equal_a_naive_loop_over_the_lemmas() -> None:
    lemmas = (("Red_Fox", "noun.act"), ("red_fox", "noun.act"), ("Dog", "noun.animal"), ("big", "adj.all"),
              ("red_fox", "adj.all"), ("run", "adj.ppl"), ("Big", "adj.ppl"), ("cat", "noun.time"))  # fmt: skip
    words = candidates(["CAT"], first_lemmas=lemmas, noun_files=["noun.act", "noun.time"])
    assert words.nouns == ("red fox",)
    assert words.adjectives == ("big", "run")
    assert [phrase.split()[0] for phrase in words.adjective_phrases] == ["big", "run"]


def test_candidates_are_distinct_lower_case_and_without_underscores() -> None:
    words = candidates([])
    for group in (words.nouns, words.adjectives, words.adjective_phrases):
        assert len(set(group)) == len(group)
        assert all(word == word.lower() and "_" not in word for word in group)
    assert not set(words.nouns) & set(words.adjectives)


def test_a_word_equal_to_an_id_label_is_left_out_whatever_its_case() -> None:
    everything = candidates([])
    assert {"abstraction", "entity"} <= set(everything.nouns)
    assert "able" in everything.adjectives
    words = candidates(["ENTITY", "Able", "abstraction"])
    assert not {"entity", "abstraction"} & set(words.nouns)
    assert "able" not in words.adjectives
    assert len(words.nouns) == len(everything.nouns) - 2
    assert len(words.adjectives) == len(everything.adjectives) - 1


def test_a_word_that_is_noun_and_adjective_is_a_noun_in_whatever_order_the_files_come() -> None:
    lemmas = [("abstract", "noun.act"), ("abstract", "adj.all"), ("able", "adj.all"), ("thing", "noun.act")]
    for order in (lemmas, lemmas[::-1]):
        words = candidates([], first_lemmas=order, noun_files=["noun.act"], adjective_files=["adj.all"])
        assert (sorted(words.nouns), words.adjectives) == (["abstract", "thing"], ("able",))


def test_one_more_id_class_redraws_no_phrase() -> None:
    before, after = candidates([], seed=3), candidates(["able"], seed=3)
    assert set(after.adjective_phrases) < set(before.adjective_phrases)


def test_another_seed_draws_other_phrases_for_the_same_adjectives() -> None:
    first, second = candidates([], seed=0), candidates([], seed=1)
    assert first.adjectives == second.adjectives
    same = sum(a == b for a, b in zip(first.adjective_phrases, second.adjective_phrases, strict=True))
    assert same / len(first.adjectives) == pytest.approx(1 / len(ADJECTIVE_PHRASES), abs=0.02)


def test_the_word_filter_leaves_blocked_words_out_and_only_those() -> None:
    plain, filtered = candidates([]), candidates([], word_filter=True)
    removed = set(plain.nouns + plain.adjectives) - set(filtered.nouns + filtered.adjectives)
    assert removed
    assert removed == {word for word in plain.nouns + plain.adjectives if lexicon.is_blocked(word)}
    assert len(removed) < 0.02 * len(plain.nouns)


def test_a_blocked_word_is_found_inside_a_phrase_but_not_inside_another_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lexicon, "blocked_words", lambda: frozenset({"sin", "two words"}))
    words = ("sin", "cardinal sin", "sin-bin", "two words", "single", "words two")
    assert [word for word in words if lexicon.is_blocked(word)] == [
        "sin", "cardinal sin", "sin-bin", "two words",
    ]  # fmt: skip


def test_an_unknown_lexicographer_file_is_named_beside_those_there_are() -> None:
    with pytest.raises(NegRefineError, match=r"no lexicographer file noun\.cars; its files are adj\.all.*noun\.time"):
        candidates([], noun_files=["noun.cars"])


def test_no_candidates_at_all_is_an_error() -> None:
    with pytest.raises(NegRefineError, match="no candidate words are left"):
        candidates([], noun_files=[], adjective_files=[])


def test_candidates_do_not_depend_on_the_hash_seed() -> None:
    script = (
        "import hashlib; from negrefine_core.lexicon import candidates; "
        "print(hashlib.sha256(repr(candidates(['dog', 'cat'], seed=2, word_filter=True)).encode()).hexdigest())"
    )
    answers = {
        subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": seed},
                       capture_output=True, text=True, check=True).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(answers) == 1


@pytest.mark.slow
def test_first_lemmas_of_another_wordnet_can_be_given(wordnet: WordNet) -> None:
    assert candidates(["dog"], first_lemmas=wordnet.first_lemmas()) == candidates(["dog"])


def test_a_word_has_its_senses_with_definitions_and_hypernyms_from_the_root(wordnet: WordNet) -> None:
    (first,) = wordnet.senses("poodle")
    assert first.name == "poodle.n.01"
    assert "intelligent dog" in first.definition
    assert first.hypernyms[0] == "entity"
    assert first.hypernyms[-2:] == ("dog", "poodle")
    assert not first.is_instance
    assert [sense.name for sense in wordnet.senses("Red Fox")] == ["red_fox.n.01", "red_fox.n.02", "red_fox.n.03"]
    assert wordnet.senses("lake michigan")[0].is_instance
    assert wordnet.senses("gooey")[0].name.startswith("gooey.s")
    assert wordnet.senses("no such word") == []


@pytest.mark.parametrize(
    ("word", "proper"),
    [("lake michigan", True), ("Mount Etna", True), ("etna", False), ("paris", False),
     ("dog", False), ("turkey", False),
     ("zzzz", False),
     ("", False), ("'", False)],
)  # fmt: skip
def test_a_proper_noun_is_a_word_whose_every_sense_is_an_instance(wordnet: WordNet, word: str, proper: bool) -> None:
    assert wordnet.is_proper_noun(word) is proper


@pytest.mark.parametrize(
    ("word", "label", "below"),
    [("poodle", "dog", True), ("dog", "poodle", False), ("dog", "dog", False), ("red fox", "Animal", True),
     ("car", "automobile", False), ("paris", "city", True), ("zzzz", "dog", False), ("dog", "zzzz", False)],
)  # fmt: skip
def test_a_subcategory_is_a_hyponym_of_some_sense(wordnet: WordNet, word: str, label: str, below: bool) -> None:
    assert wordnet.is_subcategory(word, label) is below


def test_wordnet_says_how_it_writes_a_word_and_what_two_words_share(wordnet: WordNet) -> None:
    assert wordnet.spellings("etna") == {"etna", "Etna"}
    assert wordnet.spellings("bluejack oak") == {"bluejack oak"}
    assert wordnet.spellings("zzzz") == frozenset()
    shared, near = wordnet.common_ground("poodle", "terrier")
    assert shared == "dog"
    assert 0.5 < near < 1
    assert wordnet.common_ground("radio", "terahertz")[1] < 0.5
    assert wordnet.common_ground("zzzz", "dog") == ("", 0.0)
    assert wordnet.is_taxon("helenium")
    assert not wordnet.is_taxon("daisy")


def test_a_wordnet_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(
        NegRefineError, match=r"cannot load WordNet from .*; use 'bundled', or install it .*No such file"
    ):
        _ = WordNet(tmp_path).version


def test_a_broken_wordnet_archive_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "corpora").mkdir()
    (tmp_path / "corpora" / "wordnet.zip").write_bytes(b"not a zip")
    with pytest.raises(NegRefineError, match="cannot load WordNet from"):
        _ = WordNet(tmp_path).version


def test_the_adjective_files_exist() -> None:
    assert set(ADJECTIVE_FILES) <= {lexname for _, lexname in bundled_first_lemmas()}


def test_the_bundled_wordnet_carries_its_licence() -> None:
    with zipfile.ZipFile(paths.LEXICON / "corpora" / "wordnet.zip") as archive:
        assert "being provided to you, the LICENSEE" in archive.read("wordnet/data.noun")[:2000].decode()


def test_another_broken_wordnet_on_nltks_path_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nltk

    (tmp_path / "corpora").mkdir()
    (tmp_path / "corpora" / "wordnet.zip").write_bytes(b"not a zip")
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path), *nltk.data.path])
    assert WordNet().is_proper_noun("lake michigan")


@pytest.mark.parametrize("damage", [lambda zip: zip[:1000], lambda zip: zip[:-9], lambda zip: b"X" * len(zip)])
def test_a_damaged_copy_of_wordnet_in_the_cache_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[bytes], bytes]
) -> None:
    monkeypatch.setattr(paths, "CACHE", tmp_path)
    archive = (paths.LEXICON / "corpora" / "wordnet.zip").read_bytes()
    copy = lexicon._private_copy(paths.LEXICON) / "corpora" / "wordnet.zip"
    copy.write_bytes(damage(archive))
    assert lexicon._private_copy(paths.LEXICON) == copy.parent.parent
    assert copy.read_bytes() == archive


def test_a_copy_of_wordnet_that_cannot_be_kept_is_said_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "CACHE", tmp_path)
    (tmp_path / "wordnet").write_text("a file in its place")
    with pytest.raises(NegRefineError, match=r"^cannot keep a copy of WordNet in .*wordnet.*delete"):
        _ = WordNet().version


def test_an_archive_that_is_damaged_itself_is_named_and_never_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = (paths.LEXICON / "corpora" / "wordnet.zip").read_bytes()
    (tmp_path / "lexicon" / "corpora").mkdir(parents=True)
    middle = len(archive) // 2
    (tmp_path / "lexicon" / "corpora" / "wordnet.zip").write_bytes(
        archive[:middle] + bytes(200) + archive[middle + 200 :]
    )
    monkeypatch.setattr(paths, "LEXICON", tmp_path / "lexicon")
    monkeypatch.setattr(paths, "CACHE", tmp_path / "cache")
    with pytest.raises(NegRefineError, match=r"cannot load WordNet from 'bundled'; .*install the project again"):
        _ = WordNet().version
    assert not (tmp_path / "cache").exists()


@pytest.mark.slow
def test_the_index_is_read_as_nltk_reads_it(wordnet: WordNet) -> None:
    from nltk.corpus.reader.wordnet import WordNetCorpusReader

    ours = wordnet._reader
    theirs = WordNetCorpusReader.__new__(type(ours))
    theirs.__dict__.update(ours.__dict__, _lemma_pos_offset_map=defaultdict(dict))
    WordNetCorpusReader._load_lemma_pos_offset_map(theirs)
    assert len(theirs._lemma_pos_offset_map) > 140_000
    assert ours._lemma_pos_offset_map == theirs._lemma_pos_offset_map
