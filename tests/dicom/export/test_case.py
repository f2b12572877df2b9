"""The series of a case: which there are, what they say, where their voxels lie."""

import json
from dataclasses import replace

import highdicom as hd
import numpy as np
import pydicom
import pytest

from bids_spectsynth.bids.writing import write_image, write_json
from bids_spectsynth.dicom.export import case as export_case
from bids_spectsynth.dicom.export.case import series_files, write_case
from bids_spectsynth.dicom.export.contents import comparisons, uptake_images
from bids_spectsynth.dicom.export.donor import Owner, owner_of
from bids_spectsynth.dicom.export.foci import focus_labels, pages, read_scene, summary_pdf, warnings_of
from bids_spectsynth.dicom.export.series_table import table_path
from bids_spectsynth.dicom.reading.files import group_series, read_headers
from bids_spectsynth.dicom.reading.volumes import read_volumes
from bids_spectsynth.images.grid import new_image
from bids_spectsynth.reports.plain_table import read_plain
from bids_spectsynth.reports.reading import read_volume


@pytest.fixture
def written(case, out, subject):
    def write(dicom_class="NM", owner=None):
        folder = out / "sub-01" / "dicom"
        files, problems = write_case(case, folder, out, owner or Owner(subject), dicom_class)
        assert problems == []
        assert sorted(series_files(folder, [path.name for path in files])) == files
        return folder

    return write


def _read(folder, name):
    return pydicom.dcmread(folder / name / f"{name}_0001.dcm")


def test_write_case__every_series_begins_with_its_word_and_synthetic_goes_through(written) -> None:
    folder = written()
    table = read_plain(table_path(folder))
    said = {row["folder"]: (row["synthetic"], row["description"].partition(" ")[0]) for row in table.to_dict("records")}
    kinds = ("difference", "z", "pages", "parametric", "segments", "summary")
    scan = "sub-01_task-ictal_trc-HMPAO"
    yes, no = ("YES", "SYNTHETIC"), ("NO", "RESEARCH")
    assert said == {
        "sub-01_synthetic-pix2pixPet": yes,
        "sub-01_task-interictal_trc-HMPAO": no,
        scan: no,
        **{f"{scan}_siscomPix2pixPet_{kind}": yes for kind in kinds},
        **{f"{scan}_siscomReal_{kind}": no for kind in kinds},
    }
    for path in folder.glob("*/*.dcm"):
        file = pydicom.dcmread(path, stop_before_pixels=True)
        assert (file.SyntheticData, file.SeriesDescription.partition(" ")[0]) == said[path.parent.name]
        burned_in = path.parent.name.endswith(("pages", "summary"))
        assert file.BurnedInAnnotation == ("YES" if burned_in else "NO")
        assert file.ContributingEquipmentSequence[0].ContributionDescription
        assert (file.PatientID, file.StudyDate) == ("01", "")
    assert len({pydicom.dcmread(path).SeriesInstanceUID for path in folder.glob("*/*_0001.dcm")}) == len(said)


def test_write_case__simulated_patients_are_synthetic_throughout(written, out) -> None:
    write_json(out / "dataset_description.json", {"PhantomData": True})
    assert set(read_plain(table_path(written()))["synthetic"]) == {"YES"}


@pytest.mark.parametrize("dicom_class", ["NM", "MR"])
def test_write_case__maps_lie_where_they_lay(dicom_class, written, out) -> None:
    name = "sub-01_task-ictal_trc-HMPAO_siscomReal_z"
    (volume,) = read_volumes(group_series(read_headers(written(dicom_class) / name))[0])
    path = out / "sub-01/spect/sub-01_task-ictal_trc-HMPAO_space-T1w_desc-siscomReal_stat-z_statmap.nii.gz"
    values, affine = read_volume(path)
    for sign in (1, -1):
        peak = np.unravel_index(np.argmax(sign * volume.values), volume.values.shape)
        wanted = np.unravel_index(np.argmax(sign * values), values.shape)
        apart = (volume.affine @ [*peak, 1] - affine @ [*wanted, 1])[:3]
        assert np.linalg.norm(apart) < (0.001 if dicom_class == "NM" else 8.0)
    assert (volume.values.shape == (26, 30, 22)) == (dicom_class == "MR")


def test_write_case__mr_has_the_voxels_of_the_donor(written, case, out, t1w_files, save) -> None:
    owner = owner_of(case, out, save(t1w_files()))
    folder = written("MR", owner)
    (volume,) = read_volumes(group_series(read_headers(folder / "sub-01_synthetic-pix2pixPet"))[0])
    np.testing.assert_allclose(volume.affine, owner.t1w.affine, atol=1e-4)
    file = _read(folder, "sub-01_synthetic-pix2pixPet")
    donor = t1w_files()[0]
    assert (file.PatientID, str(file.PatientName)) == ("H77", "Doe^Jane")
    assert file.FrameOfReferenceUID == donor.FrameOfReferenceUID
    assert file.StudyInstanceUID == donor.StudyInstanceUID
    assert file.SeriesInstanceUID != donor.SeriesInstanceUID


def test_write_case__segments_are_the_foci_of_the_table(written) -> None:
    folder = written()
    name = "sub-01_task-ictal_trc-HMPAO_siscomReal_segments"
    file = hd.seg.segread(folder / name / f"{name}_0001.dcm")
    assert [one.SegmentLabel for one in file.SegmentSequence] == [
        "focus 1, hyperperfusion, R temporal", "focus 2, hypoperfusion, L temporal"]  # fmt: skip
    volume = file.get_volume(combine_segments=True)
    # The hyperperfusion lies to the patient's right, where x of LPS+ is below 0.
    for number, sign in ((1, -1), (2, 1)):
        voxels = np.argwhere(volume.array == number)
        assert sign * (voxels.mean(axis=0) @ volume.affine[:3, :3].T + volume.affine[:3, 3])[0] > 30
    assert (volume.array == 1).sum() == 18


def test_write_case__twice_is_the_same_but_for_the_dates_that_highdicom_writes(written) -> None:
    def content(folder):
        files = {path.name: pydicom.dcmread(path) for path in folder.glob("*/*.dcm")}
        return {
            name: file.to_json() for name, file in files.items() if "parametric" not in name and "segments" not in name
        }

    first = content(written())
    assert content(written()) == first


def test_write_case__validator_finds_no_error(written, dciodvfy) -> None:
    for folder in sorted(written().iterdir()):
        for path in folder.glob("*_0001.dcm") if folder.is_dir() else ():
            assert dciodvfy(path) == [], path.name


def test_pages__one_for_each_focus_with_the_word_in_its_pixels(case, out) -> None:
    by_label = {one.found.label: one for one in comparisons(case, out)}
    scene = read_scene(case, by_label["Real"])
    drawn = pages(case, by_label["Real"], scene)
    assert [pixels.shape[2] for pixels in drawn] == [3, 3]
    assert (drawn[0] != drawn[1]).any()
    assert warnings_of(by_label["Pix2pixPet"])[0].startswith("SYNTHETIC")
    assert not any("SYNTHETIC" in line for line in warnings_of(by_label["Real"]))
    # Its red letters are in the picture.
    other = pages(case, by_label["Pix2pixPet"], scene)[0]
    assert (other[:60] != drawn[0][:60]).any()
    pdf = summary_pdf(case, by_label["Real"], drawn)
    assert pdf.startswith(b"%PDF")
    assert pdf == summary_pdf(case, by_label["Real"], drawn)


def test_focus_labels__clusters_that_hold_the_peaks(case, out) -> None:
    (real,) = [one for one in comparisons(case, out) if one.found.label == "Real"]
    labels, foci = focus_labels(read_scene(case, real))
    assert [focus.rank for focus in foci] == [1, 2]
    assert [int((labels == number).sum()) for number in (1, 2)] == [18, 12]


def test_uptake_images__synthetic_by_the_sidecar(case, out) -> None:
    assert [(content.synthetic, content.window) for content in uptake_images(case, out)] == [
        (True, None), (False, None), (False, None)]  # fmt: skip


def _uids(folder, names="*") -> set[str]:
    return {
        str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in folder.glob(f"{names}/*.dcm")
    }


def _other_threshold(out):
    path = next(out.glob("sub-01/spect/*siscomReal*stat-z_statmap.json"))
    write_json(path, {**json.loads(path.read_text()), "Threshold": 2.5})


def _other_foci(out):
    path = next(out.glob("sub-01/spect/*siscomReal_clusters.tsv"))
    path.write_text(path.read_text().replace("temporal", "frontal"))


def _other_mask(out):
    path = out / "sub-01/anat/sub-01_space-T1w_desc-brain_mask.nii.gz"
    values, affine = read_volume(path)
    values[16, 16, 12] = 0
    write_image(path, new_image(values, affine), {})


@pytest.mark.parametrize("change", [_other_threshold, _other_foci, _other_mask])
def test_write_case__what_is_made_of_something_else_is_another_instance(change, written, out) -> None:
    before = _uids(written())
    assert _uids(written()) == before
    change(out)
    assert not _uids(written()) & before


def test_write_case__another_frame_of_reference_or_a_simulated_patient_is_another_instance(
    written, out, subject
) -> None:
    before = _uids(written())
    assert not _uids(written(owner=Owner(replace(subject, frame_of_reference="1.2.3")))) & before
    write_json(out / "dataset_description.json", {"PhantomData": True})
    # Those on a synthetic baseline said SYNTHETIC before.
    real = _uids(written(), "*siscomReal*")
    assert real
    assert not real & before


def test_write_case__a_simulated_scan_makes_all_synthetic(written, out) -> None:
    path = next(out.glob("sub-01/spect/*task-ictal*desc-preproc_spect.json"))
    write_json(path, {**json.loads(path.read_text()), "Simulated": True})
    assert set(read_plain(table_path(written()))["synthetic"]) == {"YES"}


def test_write_case__what_a_library_refuses_is_a_line_and_the_rest_is_written(case, out, subject, monkeypatch) -> None:
    def refuse(*arguments):
        raise ValueError("no such\nname")

    monkeypatch.setattr(export_case, "parametric_map", refuse)
    files, problems = write_case(case, out / "sub-01" / "dicom", out, Owner(subject), "NM")
    assert problems == [f"SISCOM {label} parametric map: no such name" for label in ("Pix2pixPet", "Real")]
    kinds = {path.parent.name.rpartition("_")[2] for path in files}
    assert "parametric" not in kinds
    assert {"pages", "segments", "summary"} <= kinds
