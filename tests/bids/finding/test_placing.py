from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bids_spectsynth.bids.finding.placing import fit_to, fit_to_t1w, leads_to_t1w, names_of


@dataclass(frozen=True)
class Source:
    path: Path
    role: str
    entities: Mapping[str, str] = field(default_factory=dict)


FOLDER = Path("/data/sub-01/ses-a")
T1W = Source(FOLDER / "anat" / "sub-01_ses-a_run-1_T1w.nii.gz", "T1w")
PET = Source(FOLDER / "pet" / "sub-01_ses-a_trc-FDG_pet.nii.gz", "pet", {"trc": "FDG"})


@pytest.mark.parametrize(
    ("entities", "session", "problem"),
    [
        ({"sub": "01", "desc": "brain", "space": "T1w", "res": "2"}, None, ""),
        ({"sub": "01", "run": "01"}, "a", ""),
        ({"sub": "01", "label": "GM"}, None, "label-GM is not of the image sub-01_ses-a_run-1_T1w.nii.gz"),
        ({"sub": "01", "run": "2"}, "a", "run-2 is not of the image sub-01_ses-a_run-1_T1w.nii.gz"),
        ({"sub": "01"}, "b", "it is of ses-b, the image sub-01_ses-a_run-1_T1w.nii.gz of ses-a"),
    ],
)
def test_fit_to__every_entity_is_the_images(entities: Mapping[str, str], session: str | None, problem: str) -> None:
    found, rank = fit_to(entities, session, T1W)
    assert found == problem
    assert (rank is None) == bool(problem)


def test_fit_to__of_the_session_and_with_more_entities_comes_first() -> None:
    names: list[tuple[Mapping[str, str], str | None]] = [
        ({"run": "1"}, "a"),
        ({}, "a"),
        ({"run": "1"}, None),
        ({}, None),
    ]
    ranks = [fit_to(entities, session, T1W)[1] for entities, session in names]
    assert None not in ranks
    assert ranks == sorted(ranks, key=lambda rank: rank or ())


def test_fit_to_t1w__of_several_it_says_of_which(tmp_path: Path) -> None:
    path, files = tmp_path / "sub-01_desc-brain_mask.nii.gz", [T1W.path, T1W.path.with_name("sub-01_ses-a_T1w.nii.gz")]
    assert fit_to_t1w(path, {"sub": "01"}, None, T1W, files[:1])[0] == ""
    problem, rank = fit_to_t1w(path, {"sub": "01"}, None, T1W, files)
    assert (problem.rpartition(" ")[2], rank) == ("run-1", None)
    (tmp_path / "sub-01_desc-brain_mask.json").write_text(f'{{"Sources": ["bids:raw:anat/{T1W.path.name}"]}}')
    assert fit_to_t1w(path, {"sub": "01"}, None, T1W, files)[0] == ""


def test_leads_to_t1w__where_there_is_no_other(tmp_path: Path) -> None:
    path, other = tmp_path / "sub-01_from-pet_to-T1w_mode-image_xfm.txt", T1W.path.with_name("sub-01_ses-a_T1w.nii.gz")
    assert leads_to_t1w(path, None, PET, T1W, [T1W.path])
    assert not leads_to_t1w(path, "a", PET, T1W, [T1W.path, other])


def test_names_of__pet_has_petpreps_word() -> None:
    assert names_of("pet") == {"pet", "petref"}
    assert names_of("interictal") == {"interictal", "spect"}
