"""File names, folders and URIs."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_spectsynth.bids.names import ENTITY_ORDER, case_folder, file_name, output_path, parse_name, source_uri

LABEL = st.text("abcXYZ0189+", min_size=1, max_size=6)
ENTITIES = st.dictionaries(st.sampled_from(ENTITY_ORDER), LABEL)
SUFFIX = st.sampled_from(["T1w", "pet", "spect", "mask", "xfm", "metrics"])
EXTENSION = st.sampled_from([".nii.gz", ".nii", ".json", ".tsv", ".txt"])


@given(entities=ENTITIES, suffix=SUFFIX, extension=EXTENSION)
def test_name_round_trip_in_the_order_of_bids(entities: dict[str, str], suffix: str, extension: str) -> None:
    name = file_name(entities, suffix, extension)
    found, found_suffix, found_extension = parse_name(name)
    assert (found, found_suffix, found_extension) == (entities, suffix, extension)
    assert list(found) == [key for key in ENTITY_ORDER if key in entities]


@given(entities=ENTITIES.filter(bool), data=st.data())
def test_order_of_the_mapping_does_not_matter(entities: dict[str, str], data: st.DataObject) -> None:
    shuffled = dict(data.draw(st.permutations(list(entities.items()))))
    assert file_name(shuffled, "pet", ".json") == file_name(entities, "pet", ".json")


@given(before=LABEL | st.just(""), bad=st.sampled_from([*"-_./ \n\tä٣²", ""]), after=LABEL | st.just(""))
def test_other_characters_are_refused(before: str, bad: str, after: str) -> None:
    value = f"{before}{bad}{after}" if bad else ""
    with pytest.raises(ValueError, match="letters and digits"):
        file_name({"desc": value}, "pet", ".json")


def test_unknown_entity_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown entity colour"):
        file_name({"colour": "red"}, "pet", ".json")


def test_brain_mask_is_desc_brain_and_suffix_mask() -> None:
    name = "sub-01_space-T1w_desc-brain_mask.nii.gz"
    assert parse_name(name) == ({"sub": "01", "space": "T1w", "desc": "brain"}, "mask", ".nii.gz")


def test_output_path_adds_subject_and_session() -> None:
    out = Path("/out")
    path = output_path(out, "01", "x", "pet", {"space": "T1w", "trc": "FDG", "desc": "preproc"}, "pet", ".nii.gz")
    assert path == out / "sub-01/ses-x/pet/sub-01_ses-x_trc-FDG_space-T1w_desc-preproc_pet.nii.gz"
    path = output_path(out, "01", None, "anat", {"mode": "image", "to": "T1w", "from": "T2w"}, "xfm", ".txt")
    assert path == out / "sub-01/anat/sub-01_from-T2w_to-T1w_mode-image_xfm.txt"
    assert case_folder(out, "01", None) == out / "sub-01"


def test_uris_tell_input_from_output(tmp_path: Path) -> None:
    raw, out = tmp_path / "raw", tmp_path / "raw" / "derivatives" / "synth"
    out.mkdir(parents=True)
    assert source_uri(raw / "sub-01/a.nii", raw, out) == "bids:raw:sub-01/a.nii"
    assert source_uri(out / "sub-01/a.nii", raw, out) == "bids::sub-01/a.nii"
    link = tmp_path / "link"
    link.symlink_to(raw)
    assert source_uri(link / "sub-01/a.nii", raw, out) == "bids:raw:sub-01/a.nii"
    with pytest.raises(ValueError, match="neither"):
        source_uri(tmp_path / "a.nii", raw, out)
