"""ID class lists, prompts and phrases."""

from pathlib import Path

import pytest
from open_clip import IMAGENET_CLASSNAMES

from negrefine_core import labels
from negrefine_core.errors import NegRefineError
from negrefine_core.labels import adjective_phrase, clean_class_list, fill, read_class_list


def test_the_prompts_are_the_papers_word_for_word() -> None:
    assert labels.NOUN_TEMPLATES == (
        "a close-up photo of the nice {}.", "a photo with the nice {}.", "a good photo with the nice {}.",
        "a photo of the nice {}.", "{}", "the {}", "the good {}", "the nice {}",
    )  # fmt: skip
    assert labels.ADJECTIVE_TEMPLATES == ("{}", "a nice photo of {}", "a good photo of {}", "a close-up photo of {}")
    assert labels.SKETCH_TEMPLATES[:2] == ("a sketch of a {}", "a sketch of the {}")
    assert labels.SKETCH_TEMPLATES[2:] == labels.NOUN_TEMPLATES
    assert labels.NEGLABEL_NOUN_TEMPLATES == ("the nice {}",)
    assert labels.NEGLABEL_ADJECTIVE_TEMPLATES == ("This is a {} photo",)
    assert " ".join(labels.ADJECTIVE_PHRASES) == (
        "environment space object scene place item area view thing pattern structure landscape vista creature"
    )


def test_a_label_with_braces_fills_a_template_as_it_is() -> None:
    assert fill("the nice {}", "set {0} of {}") == "the nice set {0} of {}"


def test_a_phrase_depends_on_the_seed_and_the_word_alone() -> None:
    words = [f"word{i}" for i in range(400)]
    drawn = [adjective_phrase(word, 0) for word in words]
    assert drawn[::-1] == [adjective_phrase(word, 0) for word in reversed(words)]
    assert drawn != [adjective_phrase(word, 1) for word in words]
    assert {phrase.split()[1] for phrase in drawn} == set(labels.ADJECTIVE_PHRASES)


def test_phrases_stay_the_same_from_version_to_version() -> None:
    """A change here would silently change every user's negatives."""
    drawn = [adjective_phrase(word, seed) for word in ("gooey", "able") for seed in (0, 1)]
    assert drawn == ["gooey pattern", "gooey space", "able landscape", "able scene"]


def test_blanks_and_duplicates_are_left_out_and_said() -> None:
    found = clean_class_list(["red fox", "", "  ", "Red  Fox", "dog", "RED FOX", "dog\r"])
    assert found.labels == ("red fox", "dog")
    assert found.notes == ("blank lines left out: 2", "duplicates left out: 3 ('Red Fox', 'RED FOX', 'dog')")


def test_many_duplicates_are_counted_but_not_all_listed() -> None:
    (note,) = clean_class_list(["a"] * 10).notes
    assert note == "duplicates left out: 9 ('a', 'a', 'a', 'a', 'a' ...)"


def test_a_clean_list_has_no_notes_and_keeps_its_order() -> None:
    assert clean_class_list(["zebra", "ant"]) == labels.ClassList(("zebra", "ant"), ())


@pytest.mark.parametrize("content", [b"", b"\n\n  \n", b"\xef\xbb\xbf\r\n"])
def test_a_class_list_without_names_says_what_to_write(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "classes.txt"
    file.write_bytes(content)
    with pytest.raises(NegRefineError, match=r"classes\.txt holds no class names; write one ID class a line"):
        read_class_list(file)


def test_byte_order_marks_windows_lines_and_accents_are_read(tmp_path: Path) -> None:
    file = tmp_path / "classes.txt"
    file.write_bytes("\ufeffredfox\r\ncafé au lait\r\nŁódź\r\n犬\r\nCAFÉ AU LAIT".encode())
    found = read_class_list(file)
    assert found.labels == ("redfox", "café au lait", "Łódź", "犬")
    assert found.notes == ("duplicates left out: 1 ('CAFÉ AU LAIT')",)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_a_class_list_in_another_encoding_asks_for_utf8(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "classes.txt"
    file.write_bytes("chien\ncafé\n".encode(encoding))
    with pytest.raises(NegRefineError, match=r"is not UTF-8 text \(byte \d+\); save the class list as UTF-8"):
        read_class_list(file)


@pytest.mark.parametrize(
    "source", ["no-such-list.txt", "../imagenet", "../labels/imagenet", "x" * 300, "~nobody-here/x"]
)
def test_a_list_that_is_not_there_names_the_presets(source: str) -> None:
    with pytest.raises(NegRefineError, match=r"cannot read the class list .*or a preset: .*imagenet"):
        read_class_list(source)


def test_a_folder_is_not_a_class_list(tmp_path: Path) -> None:
    with pytest.raises(NegRefineError, match="Is a directory"):
        read_class_list(tmp_path)


def test_a_preset_name_with_a_path_in_it_reads_no_file_outside_the_presets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    (tmp_path / "labels" / "pets.txt").write_text("cat", encoding="utf-8")
    monkeypatch.setattr(labels.paths, "LABELS", tmp_path / "labels")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(NegRefineError, match="cannot read the class list"):
        read_class_list("../secret")
    assert read_class_list("pets").labels == ("cat",)
    assert labels.class_list_presets() == ["pets"]


def test_every_preset_is_a_clean_class_list() -> None:
    presets = labels.class_list_presets()
    assert len(presets) == 16
    for preset in presets:
        if not preset.endswith(labels.PAPER_FORM):
            found = read_class_list(preset)
            assert len(found.labels) > 1, preset
            assert not found.notes, preset
            assert not [label for label in found.labels if "_" in label or label != label.strip()], preset


def test_the_papers_form_of_a_list_keeps_its_defects() -> None:
    assert read_class_list("imagenet-paper").labels == tuple(IMAGENET_CLASSNAMES)
    assert read_class_list("imagenet-paper").labels.count("missile") == 2
    assert read_class_list("imagenet-a-paper").labels.count("American") == 4
    assert "great_white_shark" in read_class_list("imagenet-r-paper").labels
    assert read_class_list("cub-200-paper").labels[0] == "Black_footed_Albatross"


def test_mended_lists_name_the_same_classes_in_the_same_order() -> None:
    names = dict(zip(_lines("imagenet"), IMAGENET_CLASSNAMES, strict=True))  # by WordNet id
    assert read_class_list("imagenet").labels == tuple(dict.fromkeys(IMAGENET_CLASSNAMES))
    for subset in ("imagenet-a", "imagenet-10", "imagenet-20", "imagenet-99", "imagenet-100"):
        assert read_class_list(subset).labels == tuple(names[wnid] for wnid in _lines(subset)), subset
    for preset in ("imagenet-r", "cub-200"):
        published = read_class_list(f"{preset}-paper").labels
        assert read_class_list(preset).labels == tuple(label.replace("_", " ") for label in published)


def _lines(name: str) -> list[str]:
    return (labels.paths.BUNDLED / "class_folders" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
