import csv
import gzip
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from bids_spectsynth.errors import UsageError
from bids_spectsynth.phantom import participants as cohort_module
from bids_spectsynth.phantom.participants import make_cohort, truth_folder
from bids_spectsynth.phantom.plan import SubjectPlan
from bids_spectsynth.phantom.subject import make_subject
from tests.packed import unpacked

PET_KEYS = [
    "Manufacturer",
    "ManufacturersModelName",
    "Units",
    "TracerName",
    "TracerRadionuclide",
    "InjectedRadioactivity",
    "InjectedRadioactivityUnits",
    "InjectedMass",
    "InjectedMassUnits",
    "SpecificRadioactivity",
    "SpecificRadioactivityUnits",
    "ModeOfAdministration",
    "TimeZero",
    "ScanStart",
    "InjectionStart",
    "FrameTimesStart",
    "FrameDuration",
    "AcquisitionMode",
    "ImageDecayCorrected",
    "ImageDecayCorrectionTime",
    "ReconMethodName",
    "ReconMethodParameterLabels",
    "ReconMethodParameterUnits",
    "ReconMethodParameterValues",
    "ReconFilterType",
    "ReconFilterSize",
    "AttenuationCorrection",
]
SCANS = {
    "from-pet": "pet/sub-01_trc-FDG_pet.nii.gz",
    "task-interictal_from-spect": "spect/sub-01_task-interictal_trc-HMPAO_spect.nii.gz",
    "task-ictal_from-spect": "spect/sub-01_task-ictal_trc-HMPAO_spect.nii.gz",
}


def on_grid(image, matrix, grid):
    """Sample an image at the voxels of `grid` after `matrix` (world of grid to world of image)."""
    index = np.linalg.inv(image.affine) @ matrix @ grid.affine
    values = np.asarray(image.dataobj, dtype=np.float32)
    values = values.mean(axis=-1) if values.ndim == 4 else values
    return ndimage.affine_transform(values, index[:3, :3], index[:3, 3], grid.shape, order=1)


def test_dataset_has_the_files_of_bids(cohort):
    names = {path.relative_to(cohort).as_posix() for path in cohort.rglob("*") if path.is_file()}
    images = {f"sub-01/{scan}" for scan in SCANS.values()} | {"sub-01/anat/sub-01_T1w.nii.gz"}
    images |= {
        "sub-02/anat/sub-02_T1w.nii.gz",
        "sub-02/pet/sub-02_trc-FDG_pet.nii.gz",
        "sub-02/spect/sub-02_task-interictal_trc-HMPAO_spect.nii.gz",
    }
    sidecars = {name.replace(".nii.gz", ".json") for name in images}
    top = {".bidsignore", "dataset_description.json", "README", "participants.tsv", "participants.json"}
    assert names == images | sidecars | top
    description = json.loads((cohort / "dataset_description.json").read_text())
    assert "simulated" in description["Name"].lower()
    assert "not" in (cohort / "README").read_text()
    assert "clinical" in (cohort / "README").read_text()
    with (cohort / "participants.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [row["participant_id"] for row in rows] == ["sub-01", "sub-02"]
    assert [row["resection"] for row in rows] == ["no", "yes"]


def test_emission_sidecars_are_complete(cohort):
    for path in [*cohort.glob("*/pet/*.json"), *cohort.glob("*/spect/*.json")]:
        sidecar = json.loads(path.read_text())
        assert set(PET_KEYS) <= set(sidecar), path
        assert sidecar["Simulated"] is True
        image = nib.load(path.with_name(path.name.replace(".json", ".nii.gz")))
        assert len(sidecar["FrameDuration"]) == len(sidecar["FrameTimesStart"]) == (*image.shape, 1)[3]
    spect = json.loads((cohort / "sub-01/spect/sub-01_task-ictal_trc-HMPAO_spect.json").read_text())
    assert (spect["TracerName"], spect["TracerRadionuclide"]) == ("HMPAO", "Tc99m")


@pytest.mark.parametrize("scan", list(SCANS))
def test_true_matrices_align_the_scans(cohort, scan):
    folder = truth_folder(cohort) / "sub-01"
    matrix = np.loadtxt(folder / f"sub-01_{scan}_to-T1w_mode-image_xfm.txt")
    image = nib.load(cohort / "sub-01" / SCANS[scan])
    grey = nib.load(folder / "sub-01_label-GM_probseg.nii.gz")
    fractions = grey.get_fdata()
    head = ndimage.binary_dilation(fractions > 0.2, iterations=2)

    def correlation(candidate):
        return np.corrcoef(on_grid(image, candidate, grey)[head], fractions[head])[0, 1]

    true = correlation(matrix)
    assert true > 0.6
    for axis in range(3):
        for shift in (-6.0, 6.0):
            moved = matrix.copy()
            moved[axis, 3] += shift
            assert correlation(moved) < true - 0.02
    assert np.linalg.det(matrix[:3, :3]) == pytest.approx(1.0, abs=1e-6)


def test_brain_mask_and_noise_free_spect_fit_the_scans(cohort):
    folder = truth_folder(cohort) / "sub-02"
    t1w = nib.load(cohort / "sub-02/anat/sub-02_T1w.nii.gz")
    mask_image = nib.load(folder / "sub-02_desc-brain_mask.nii.gz")
    mask = mask_image.get_fdata() > 0
    assert mask.shape == t1w.shape
    np.testing.assert_allclose(mask_image.affine, t1w.affine, atol=1e-6)
    assert 1.1 < mask.sum() * abs(np.linalg.det(t1w.affine[:3, :3])) / 1e6 < 2.0
    assert ndimage.label(mask)[1] == 1
    for axis in range(3):
        assert not mask.take([0, -1], axis=axis).any()
    spect = nib.load(cohort / "sub-02/spect/sub-02_task-interictal_trc-HMPAO_spect.nii.gz")
    clean = nib.load(folder / "sub-02_task-interictal_desc-noisefree_spect.nii.gz")
    matrix = np.loadtxt(folder / "sub-02_task-interictal_from-spect_to-T1w_mode-image_xfm.txt")
    inside = clean.get_fdata() > 0.2
    assert np.corrcoef(on_grid(spect, matrix, clean)[inside], clean.get_fdata()[inside])[0, 1] > 0.9


def test_foci_are_where_the_truth_says(cohort):
    folder = truth_folder(cohort) / "sub-02"
    with (folder / "sub-02_foci.tsv").open() as file:
        foci = list(csv.DictReader(file, delimiter="\t"))
    cavity = next(row for row in foci if row["kind"] == "cavity")
    assert (cavity["pet"], cavity["ictal"]) == ("-1.000", "n/a")
    centre = np.array([float(cavity[axis]) for axis in "xyz"])
    t1w = nib.load(cohort / "sub-02/anat/sub-02_T1w.nii.gz")
    mask = nib.load(folder / "sub-02_desc-brain_mask.nii.gz").get_fdata() > 0
    world = nib.affines.apply_affine(t1w.affine, np.argwhere(mask))
    core = np.linalg.norm(world - centre, axis=1) < 0.6 * float(cavity["radius"])
    values = t1w.get_fdata()[mask]
    assert core.sum() > 50
    assert np.median(values[core]) < 0.55 * np.median(values)


def test_sform_and_qform_agree_and_orientations_vary(cohort):
    codes = set()
    for path in cohort.rglob("*.nii.gz"):
        image = nib.load(path)
        assert int(image.header["sform_code"]) == int(image.header["qform_code"]) == 1
        np.testing.assert_allclose(image.get_qform(), image.affine, atol=1e-5)
        codes.add("".join(nib.aff2axcodes(image.affine)))
    assert len(codes) >= 4


def test_equal_seed_gives_equal_bytes_in_any_cohort(cohort, tmp_path):
    make_cohort(tmp_path / "one", 1, size="small", seed=3)
    first = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").glob("sub-*/**/*.*"))
    assert len(first) == 8
    for name in first:
        assert unpacked(tmp_path / "one" / name) == unpacked(cohort / name), name
    truths = [path for path in (tmp_path / "one-truth").rglob("*") if path.is_file()]
    assert len(truths) == 8
    for path in truths:
        assert unpacked(path) == unpacked(truth_folder(cohort) / path.relative_to(tmp_path / "one-truth"))


def test_seeds_differ(cohort):
    def ages(seed):
        return [SubjectPlan(index, "small", seed).person().age for index in range(6)]

    assert ages(3) == ages(3) != ages(4)


def test_dynamic_pet_and_shifted_spect_take_their_turn(tmp_path):
    assert SubjectPlan(2, "small", 0).pet_frames == 4
    assert np.abs(SubjectPlan(5, "small", 0).spect_bed_shift).max() > 100
    make_subject(SubjectPlan(2, "small", 0), tmp_path / "raw", tmp_path / "truth")
    folder = tmp_path / "raw/sub-03/pet"
    image = nib.load(folder / "sub-03_trc-FDG_pet.nii.gz")
    sidecar = json.loads((folder / "sub-03_trc-FDG_pet.json").read_text())
    assert image.shape[3] == 4
    assert sidecar["FrameDuration"] == [300.0] * 4
    assert sidecar["FrameTimesStart"] == [0.0, 300.0, 600.0, 900.0]
    spect = nib.load(tmp_path / "raw/sub-03/spect/sub-03_task-ictal_trc-HMPAO_spect.nii.gz")
    assert spect.get_data_dtype() == np.float32


def test_gzip_header_has_no_time(cohort):
    raw = (cohort / "sub-01/anat/sub-01_T1w.nii.gz").read_bytes()
    assert raw[4:8] == b"\0\0\0\0"
    assert len(gzip.decompress(raw)) > 352


def test_every_subject_goes_through_the_process_pool(monkeypatch, tmp_path):
    workers = []

    class Pool(ThreadPoolExecutor):
        def __init__(self, max_workers, mp_context):
            workers.append((max_workers, mp_context.get_start_method()))
            super().__init__(max_workers)

    monkeypatch.setattr(cohort_module, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(cohort_module, "make_subject", lambda plan, dataset, truth: (dataset / plan.label).touch())
    make_cohort(tmp_path / "out", 3, nprocs=8)
    assert workers == [(3, "spawn")]
    assert {path.name for path in (tmp_path / "out").glob("0*")} == {"01", "02", "03"}


@pytest.mark.parametrize(
    ("options", "message"),
    [({"n": 0}, "number of subjects"), ({"n": 1, "seed": -1}, "seed"), ({"n": 1, "size": "huge"}, "small, paper"),
     ({"n": 1, "nprocs": 0}, "processes"), ({"n": 1, "ictal": "all"}, "some, study, widespread")],
)  # fmt: skip
def test_wrong_options_are_refused_before_anything_is_written(tmp_path, options, message):
    with pytest.raises(UsageError, match=message):
        make_cohort(tmp_path / "out", **options)
    assert list(tmp_path.iterdir()) == []


def test_folder_with_content_is_refused(tmp_path: Path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out-truth").mkdir()
    (tmp_path / "out-truth" / "old").touch()
    with pytest.raises(UsageError, match="out-truth: is not empty"):
        make_cohort(tmp_path / "out", 1)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file"):
        make_cohort(tmp_path / "file", 1)
