"""How the pages write figures: no sign, sum or number that reads wrong."""

from negrefine_app.shared import words


def test_rounded_parts_that_give_another_sum_are_not_called_equal_to_it() -> None:
    assert words.equals(0.5, 2, 0.25, 1.0) == "="
    assert words.equals(0.9996, 2, 0.9996, 2.9988) == "≈"  # 1.000 + 2 x 1.000 is not 2.999


def test_one_image_is_no_images() -> None:
    assert [f"{count} {words.plural(count, 'image')}" for count in (0, 1, 2)] == ["0 images", "1 image", "2 images"]


def test_a_slow_pace_has_a_decimal() -> None:
    assert words.pace(0.84, "images") == "0.8 images a second"
    assert words.pace(1203, "labels") == "1,203 labels a second"
