"""Spaces as users write them, and their labels in names of files, nodes and models."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_spectsynth.bids.names import file_name, parse_name
from bids_spectsynth.errors import UsageError
from bids_spectsynth.options.settings import make_settings
from bids_spectsynth.options.spaces import Space, option_of, parse_space, parse_spaces, plain_label
from bids_spectsynth.preprocess.workflow.graph import mask_field, record_field

REQUIRED = {"bids_dir": "/data", "output_dir": "/out", "analysis_level": "participant"}
WORDS = st.text(string.ascii_letters + string.digits, min_size=1, max_size=12)
INDICES = st.one_of(st.integers(0, 99).map(str), st.from_regex(r"[A-Za-z][0-9A-Za-z]{0,6}", fullmatch=True))
SPACES = st.one_of(
    st.just(Space("T1w")),
    st.builds(Space, WORDS.filter(lambda name: name not in ("T1w", "anat")), st.none() | INDICES, st.none() | INDICES),
)


@given(SPACES)
def test_what_is_written_is_read_again(space: Space) -> None:
    assert parse_space(str(space)) == space
    assert parse_spaces([str(space), str(space)]) == (str(space),)
    assert make_settings({**REQUIRED, "output_spaces": [str(space)]}).spaces == (space.label,)


@given(SPACES)
def test_a_label_leads_back_to_what_to_ask_for(space: Space) -> None:
    assert parse_space(option_of(space.label)) == Space(space.name, space.cohort)


@given(SPACES)
def test_labels_stand_in_file_names(space: Space) -> None:
    name = file_name({"sub": "01", "space": space.label, "desc": "preproc"}, "T1w", ".nii.gz")
    assert parse_name(name)[0]["space"] == space.label
    name = file_name({"sub": "01", "from": "T1w", "to": space.label, "mode": "image"}, "xfm", ".txt")
    assert parse_name(name)[0]["to"] == space.label


@given(SPACES, SPACES)
def test_names_of_nodes_and_models_are_as_different_as_labels(one: Space, other: Space) -> None:
    for name in (record_field, mask_field, plain_label):
        assert re.fullmatch(r"\w+", name(one.label), re.ASCII)
        if "Cohort" not in one.name + other.name:
            assert (name(one.label) == name(other.label)) == (one.label == other.label)


def test_labels_that_differ_by_where_the_cohort_begins() -> None:
    labels = [parse_space(text).label for text in ("A1:cohort-2", "A:cohort-12", "A12")]
    assert labels == ["A1+2", "A+12", "A12"]
    for name in (record_field, plain_label):
        assert len({name(label) for label in labels}) == 3


@pytest.mark.parametrize(
    ("text", "canonical", "label"),
    [
        ("MNI152NLin2009cAsym:res-02", "MNI152NLin2009cAsym:res-2", "MNI152NLin2009cAsym"),
        ("MNIInfant:res-1:cohort-02", "MNIInfant:cohort-2:res-1", "MNIInfant+2"),
        ("MNI152NLin2009cSym:res-iso4mm", "MNI152NLin2009cSym:res-iso4mm", "MNI152NLin2009cSym"),
    ],
)
def test_one_spelling(text: str, canonical: str, label: str) -> None:
    settings = make_settings({**REQUIRED, "output_spaces": ["T1w", text]})
    assert settings.output_spaces == ("T1w", canonical)
    assert settings.templates == (canonical,)
    assert settings.spaces == ("T1w", label)


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["MNIInfant+2"], "write MNIInfant:cohort-2"),
        (["T1w:res-2"], "--voxel-size"),
        (["MNI:res-1:res-2"], "each part once"),
        (["MNI:space-1"], "'space-1'"),
        (["MNI:res-"], "'res-'"),
        (["MNI:res"], "'res'"),
        (["MNI:"], "''"),
        ([""], "NAME"),
        (["../x"], "NAME"),
        (["MNI:cohort-a+b"], "cohort-a"),
        (["MNI:res-²"], "res-"),
        (["MNI:res-1", "MNI:res-2"], "both be space-MNI"),
        (["MNI", "MNI:res-1"], "both be space-MNI"),
        (["A:cohort-1:res-1", "A:cohort-1"], r"both be space-A\+1"),
    ],
)
def test_what_cannot_be_read_is_one_clear_line(texts: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=rf"^--output-spaces: .*{words}") as caught:
        make_settings({**REQUIRED, "output_spaces": texts})
    assert "\n" not in str(caught.value)


def test_two_cohorts_are_two_spaces() -> None:
    assert parse_spaces(["A:cohort-1", "A:cohort-2", "T1w"]) == ("A:cohort-1", "A:cohort-2", "T1w")
