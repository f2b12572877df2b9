import logging
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.writing import write_matrix
from bids_spectsynth.images.grid import Grid
from bids_spectsynth.preprocess.templates.atlas import CEREBRA_TEMPLATE
from bids_spectsynth.siscom.foci.naming import Labeller, find_labeller, naming_files, t1w_session
from tests.siscom.foci.conftest import AFFINE, COARSE, NUMBERS, PLACES, SHAPE, brain, save, segmentation

MakeCase = Callable[..., PreparedCase]
LEFT = np.array([(-x, y, z) for (x, y, z), _ in PLACES.values()], dtype=float)
RIGHT = LEFT * (-1, 1, 1)


def labeller(prepared: PreparedCase, *folders: Path) -> Labeller:
    return find_labeller(prepared, folders, brain(), AFFINE)


def store_atlas(home: Path) -> None:
    """CerebrA's stand-in: the head of these tests, in a template that lies 3 mm to the left of it."""
    folder = home / f"tpl-{CEREBRA_TEMPLATE}"
    affine = AFFINE.copy()
    affine[0, 3] -= 3
    save(folder / f"tpl-{CEREBRA_TEMPLATE}_res-1_atlas-CerebrA_dseg.nii.gz", segmentation(), affine)
    rows = [f"{number}\t{name.title()}\t{side}" for name, pair in NUMBERS.items()
            for number, side in zip(pair, "LR", strict=True)]  # fmt: skip
    table = "\n".join(["label\tname\themi", *rows]) + "\n"
    (folder / f"tpl-{CEREBRA_TEMPLATE}_atlas-CerebA_dseg.tsv").write_text(table)


@pytest.fixture
def stored_atlas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path / "templates"))
    store_atlas(tmp_path / "templates")


def check_names(found: Labeller) -> None:
    for side, points in (("L", LEFT), ("R", RIGHT)):
        names = found.name(points)
        assert [one.region for one in names] == list(PLACES)
        assert [one.lobe for one in names] == [lobe for _, lobe in PLACES.values()]
        assert {one.side for one in names} == {side}
        assert {one.distance_mm for one in names} == {0.0}


@pytest.mark.parametrize(
    "name",
    ["sub-01/anat/sub-01_desc-aparcaseg_dseg.nii.gz", "sub-01/mri/aparc+aseg.mgz", "sub-01_T1w_synthseg.nii.gz",
     "sub-01/mri/aparc.DKTatlas+aseg.deep.mgz"],
)  # fmt: skip
@pytest.mark.parametrize("templates", [(), ("MNI152NLin2009aSym",)])
def test_name__own_segmentation_in_each_layout(
    tmp_path: Path, case: MakeCase, name: str, templates: tuple[str, ...]
) -> None:
    save(tmp_path / "own" / name, segmentation())
    found = labeller(case(*templates), tmp_path / "own")
    check_names(found)
    assert found.source == f"{name} (FreeSurfer's numbers)"


@given(st.permutations(range(3)), st.tuples(*[st.booleans()] * 3))
@settings(max_examples=12, deadline=None)
def test_name__voxels_of_the_segmentation_in_every_orientation(tmp_path_factory, order, flips) -> None:
    codes = "".join(f"{'RAS'[axis]}" if not flips[axis] else "LPI"[axis] for axis in order)
    image = nib.Nifti1Image(segmentation(), AFFINE)
    target = nib.orientations.axcodes2ornt(codes)
    turned = image.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(AFFINE), target))
    folder = tmp_path_factory.mktemp("own")
    save(folder / "sub-01/mri/aparc+aseg.mgz", np.asarray(turned.dataobj), turned.affine)
    check_names(labeller(PreparedCase("01", None, "T1w", {}, {}, None, None), folder))


def test_name__points_near_the_middle_are_m_and_beyond_labels_n_a(tmp_path: Path, case: MakeCase) -> None:
    save(tmp_path / "own/sub-01/mri/aparc+aseg.mgz", segmentation())
    found = labeller(case(), tmp_path / "own")
    middle, outside = found.name([(0.5, 40, 20), (90, 0, 0)])
    assert (middle.side, middle.region) == ("M", "superior frontal")
    assert (outside.side, outside.region, outside.lobe) == ("R", "n/a", "n/a")
    assert np.isnan(outside.distance_mm)
    assert middle.template_mm is None


def test_name__atlas_at_template_coordinates(stored_atlas: None, case: MakeCase) -> None:
    # The stored matrix leads from template to T1w and shifts by 3 mm; the atlas lies 3 mm to the left.
    found = labeller(case("MNI152NLin2009cAsym", "MNI152NLin6Asym"))
    check_names(found)
    assert found.template == "MNI152NLin2009cAsym"
    assert found.name([(30, 40, 20)])[0].template_mm == pytest.approx((27, 40, 20))
    assert found.name([(4, 40, 20), (-4, 40, 20)])[0].side == "M"
    assert found.source.startswith("CerebrA")
    assert not found.notes


def test_name__another_mni_template_serves_with_a_note(stored_atlas: None, case: MakeCase) -> None:
    found = labeller(case("MNI152NLin6Asym"))
    check_names(found)
    (note,) = found.notes
    assert "coordinates of MNI152NLin6Asym" in note


def test_name__a_template_of_another_family_gives_coordinates_and_sides_alone(
    stored_atlas: None, case: MakeCase
) -> None:
    found = labeller(case("OASIS30ANTs"))
    left, right = found.name([(-30, 0, 0), (30, 0, 0)])
    assert (left.side, right.side, right.region, right.lobe) == ("L", "R", "n/a", "n/a")
    assert right.template_mm == pytest.approx((27, 0, 0))
    assert "OASIS30ANTs does not" in found.notes[0]


def test_name__without_anything_the_side_is_that_of_the_middle_of_the_brain(case: MakeCase) -> None:
    found = labeller(case())
    assert [one.side for one in found.name([(-30, 0, 0), (30, 0, 0), (1, 0, 0)])] == ["L", "R", "M"]
    assert found.source == "no labels: sides and coordinates alone"
    assert found.mask_of("cerebellum") is None
    assert "no transform" in found.notes[0]
    assert "middle of the brain" in found.notes[1]


def test_find_labeller__atlas_that_cannot_be_had_costs_one_warning_and_a_note_without_paths(
    case: MakeCase, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    for _ in range(2):
        found = labeller(case("MNI152NLin2009aSym"))
        assert [one.side for one in found.name([(-30, 0, 0)])] == ["L"]
        assert any("CerebrA is not stored" in note for note in found.notes)
        assert not any("/" in note.replace("n/a", "") for note in found.notes)
    assert sum("CerebrA" in record.message for record in caplog.records) == 1


def test_find_labeller__segmentation_without_parts_of_the_cortex_gives_way_to_the_atlas(
    stored_atlas: None, case: MakeCase, tmp_path: Path
) -> None:
    save(tmp_path / "own/sub-01/mri/aseg.mgz", segmentation(COARSE))
    assert labeller(case("MNI152NLin2009cAsym"), tmp_path / "own").source.startswith("CerebrA")
    alone = labeller(case(), tmp_path / "own")
    hippocampus, cortex = alone.name([PLACES["hippocampus"][0], PLACES["precentral"][0]])
    assert (hippocampus.lobe, cortex.lobe, cortex.region) == ("temporal", "n/a", "cerebral cortex")


def test_find_labeller__a_better_segmentation_of_a_later_folder_is_taken(case: MakeCase, tmp_path: Path) -> None:
    save(tmp_path / "a/sub-01/mri/aseg.mgz", segmentation(COARSE))
    save(tmp_path / "b/sub-01/anat/sub-01_desc-aparcaseg_dseg.nii.gz", segmentation())
    found = labeller(case(), tmp_path / "a", tmp_path / "b")
    check_names(found)


def test_find_labeller__broken_and_misfitting_files_get_a_line_each_and_the_next_serves(
    case: MakeCase, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = tmp_path / "own"
    (own / "sub-01/anat").mkdir(parents=True)
    (own / "sub-01/anat/sub-01_desc-aparcaseg_dseg.nii.gz").write_bytes(b"no image" * 200)
    moved = AFFINE.copy()
    moved[1, 3] += 60
    save(own / "sub-01/mri/aparc+aseg.mgz", segmentation(), moved)
    save(own / "sub-01/anat/sub-01_synthseg.nii.gz", segmentation())
    with caplog.at_level(logging.WARNING):
        found = labeller(case(), own)
    check_names(found)
    assert len(caplog.records) == 2
    _, *notes = found.notes
    assert "damaged" in notes[0]
    assert "of another image; not used" in notes[1]
    assert not any(str(tmp_path) in note for note in notes)


def test_find_labeller__two_runs_alike_give_the_first_and_a_note(case: MakeCase, tmp_path: Path) -> None:
    for run in (1, 2):
        save(tmp_path / f"own/sub-01/anat/sub-01_run-{run}_desc-aparcaseg_dseg.nii.gz", segmentation())
    found = labeller(case(), tmp_path / "own")
    assert "run-1" in found.source
    assert any(note.startswith("2 segmentations alike") for note in found.notes)


def test_find_labeller__no_segmentation_is_said_once(
    case: MakeCase, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save(tmp_path / "own/sub-02/anat/sub-02_desc-aparcaseg_dseg.nii.gz", segmentation())
    for _ in range(2):
        assert any("no segmentation of sub-01 in own" in note for note in labeller(case(), tmp_path / "own").notes)
    assert {record.getMessage() for record in caplog.records} == {
        f"--derivatives: no segmentation of sub-01 in {tmp_path / 'own'}"
    }
    assert all(vars(record)["once"] for record in caplog.records)


def test_find_labeller__a_folder_of_masks_alone_is_not_said_to_lack_segmentations(
    case: MakeCase, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save(tmp_path / "own/sub-01/anat/sub-01_label-lesion_mask.nii.gz", segmentation())
    assert not any("segmentation" in note for note in labeller(case(), tmp_path / "own").notes)
    assert caplog.messages == []


def test_find_labeller__damaged_transform_leaves_the_middle_of_the_brain(case: MakeCase) -> None:
    prepared = case("MNI152NLin2009cAsym")
    prepared.template_xfms["MNI152NLin2009cAsym"].write_text("1 2 3\n")
    found = labeller(prepared)
    assert found.template is None
    assert found.name([(30, 0, 0)])[0].side == "R"


def test_mask_of__cerebellum_of_the_segmentation(tmp_path: Path, case: MakeCase) -> None:
    save(tmp_path / "own/sub-01/mri/aparc+aseg.mgz", segmentation())
    found = labeller(case(), tmp_path / "own").mask_of("cerebellum")
    assert found is not None
    np.testing.assert_array_equal(found, np.isin(segmentation(), [8, 47]))


def test_side_map__sign_is_that_of_the_template_s_x(case: MakeCase) -> None:
    found = labeller(case("MNI152NLin2009cAsym"))
    x = AFFINE[0, 3] + 4 * np.arange(SHAPE[0]) - 3
    expected = np.where(np.abs(x) <= 2, 0, np.sign(x))
    np.testing.assert_array_equal(found.side_map()[:, 5, 5], expected)
    mirrored = Grid(SHAPE, AFFINE @ np.diag([-1.0, 1, 1, 1]) @ np.array(np.eye(4)))
    assert (found.side_map(mirrored)[-1] == -1).all()


@pytest.mark.parametrize(
    ("sources", "session", "expected"),
    [
        (("bids:raw:sub-01/ses-pre/anat/sub-01_ses-pre_T1w.nii.gz",), "late", "pre"),
        (("bids:raw:sub-01/anat/sub-01_T1w.nii.gz",), "late", None),
        ((), "late", "late"),
    ],
)
def test_t1w_session__is_that_of_the_image_not_of_the_case(
    case: MakeCase, sources: tuple[str, ...], session: str, expected: str | None
) -> None:
    assert t1w_session(case(session=session, sources=sources)) == expected


def test_find_labeller__poor_registration_to_the_template_is_said(stored_atlas: None, case: MakeCase) -> None:
    prepared = case("MNI152NLin2009cAsym")
    write_matrix(prepared.template_xfms["MNI152NLin2009cAsym"], np.eye(4), {"Poor": True})
    (note,) = labeller(prepared).notes
    assert "registration to MNI152NLin2009cAsym is poor" in note


def test_naming_files__segmentations_tables_and_the_atlas(stored_atlas: None, case: MakeCase, tmp_path: Path) -> None:
    own = tmp_path / "own"
    image = save(own / "sub-01/anat/sub-01_desc-aparcaseg_dseg.nii.gz", segmentation())
    subject = save(own / "sub-01/mri/aseg.mgz", segmentation(COARSE))
    (own / "desc-aparcaseg_dseg.tsv").write_text("index\tname\n")
    files = list(naming_files(case(), [own]).values())
    assert files[:3] == [image, own / "desc-aparcaseg_dseg.tsv", subject]
    assert [path.suffix for path in files[3:]] == [".gz", ".tsv"]
