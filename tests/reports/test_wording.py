import pandas as pd

from bids_spectsynth.evaluation.columns import METHODS, NETWORK
from bids_spectsynth.reports.wording import description, left_out_text, method_name, method_order


def test_method_name__every_method_has_one_and_others_keep_theirs() -> None:
    assert all(method_name(method) != method for method in METHODS)
    assert method_name("another") == "another"


def test_method_order__network_first_unknown_ones_last() -> None:
    assert method_order(pd.Series(["zeta", "regression", "alpha", NETWORK, "constant", NETWORK])) == [
        NETWORK, "constant", "regression", "alpha", "zeta"
    ]  # fmt: skip


def test_left_out_text__names_the_absent_baselines_alone() -> None:
    assert left_out_text(METHODS) == ""
    present = set(METHODS) - {"petCopy", NETWORK}
    assert left_out_text(present) == " Not compared with: Copy of the PET."


def test_description__of_damaged_dictionaries_is_empty() -> None:
    dictionary = {"a": {"Description": "What.", "Units": "mm"}, "b": {"Description": "That."}, "c": "text", "d": {}}
    assert [description(dictionary, name) for name in "abcde"] == ["What. (mm)", "That.", "", "", ""]
