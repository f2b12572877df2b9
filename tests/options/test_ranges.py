from typing import Any

import pytest

from bids_spectsynth.options import ranges


@pytest.mark.parametrize(
    ("check", "usable", "refused"),
    [
        (ranges.positive, 1e-9, 0),
        (ranges.not_negative, 0, -1),
        (ranges.within(0, 1), 1, 1.1),
        (ranges.within(0, 1, below=True), 0, 1),
        (ranges.one_of((1.0, 2.0), "why"), 2, 3),
        (ranges.zero_or_at_least(3, "why"), 3, 2),
        (ranges.zero_or_at_least(3, "why"), 0, -1),
        (ranges.parts("proportions"), (1, 1, 0), (1, 0, 1)),
        (ranges.some("space"), ("T1w",), ()),
        (ranges.label, "mine2", "../up"),
        (ranges.image_name, "me/fsl:1", "--privileged"),
        (ranges.conditions, ("a=b",), ("a=b", "=b")),
    ],
)
def test_ranges__each_says_what_is_wrong_and_nothing_else(check: Any, usable: Any, refused: Any) -> None:
    assert check(usable) is None
    assert check(refused)
    assert "\n" not in check(refused)


def test_one_of__message() -> None:
    assert ranges.one_of((1.0, 2.0, 4.0), "halves")(3.0) == "3.0 is not 1, 2 or 4 (halves)"


@pytest.mark.parametrize("name", ["preproc", "Brain", "bestSd", "bestLower", "bestUpper", "bést", "a-b", ""])
def test_label__names_of_other_images_are_refused(name: str) -> None:
    assert ranges.label(name)
    assert ranges.label("bestSdx") is None
