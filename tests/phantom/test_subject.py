import csv
import json

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from bids_spectsynth.bids.finding.cases import SourceImage
from bids_spectsynth.bids.finding.external import find_external
from bids_spectsynth.options.declarations.derivatives import NamedFolder
from bids_spectsynth.phantom import participants
from bids_spectsynth.phantom.participants import make_cohort, truth_folder
from bids_spectsynth.phantom.plan import SubjectPlan
from bids_spectsynth.phantom.subject import make_subject
from tests.packed import unpacked

#: Mean, standard deviation and largest value of images of the cohort of seed 3, as the first release made them.
OF_OLD = {
    "sub-01/anat/sub-01_T1w": (114.0989, 132.8675, 537),
    "sub-01/pet/sub-01_trc-FDG_pet": (822.8784, 2814.419, 23780.32),
    "sub-01/spect/sub-01_task-ictal_trc-HMPAO_spect": (39.15791, 100.4641, 704.7484),
    "sub-02/spect/sub-02_task-interictal_trc-HMPAO_spect": (31.5553, 135.9851, 1503.825),
}


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file, delimiter="\t"))


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Subject 4 (index 3) of a study, which without a study has neither an ictal scan nor a cavity."""
    out = tmp_path_factory.mktemp("study") / "cohort"
    plan = SubjectPlan(3, "small", 3, ictal_scans="study")
    make_subject(plan, out, truth_folder(out))
    return out


def test_make_subject__images_of_old_do_not_move(cohort):
    for name, expected in OF_OLD.items():
        values = nib.load(cohort / f"{name}.nii.gz").get_fdata()
        assert (values.mean(), values.std(), values.max()) == pytest.approx(expected, rel=1e-5), name


def test_make_subject__study_leaves_the_other_images_byte_for_byte(study, tmp_path):
    make_subject(SubjectPlan(3, "small", 3), tmp_path / "out", tmp_path / "truth")
    kept = sorted(path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*.*"))
    assert len(kept) == 6
    for name in kept:
        assert unpacked(tmp_path / "out" / name) == unpacked(study / name), name


def test_make_subject__study_has_two_ictal_scans_with_and_without_a_seizure(study):
    spect = study / "sub-04/spect"
    stem = "sub-04_task-ictal_trc-HMPAO_run-{}_spect"
    assert {path.name for path in spect.glob("*ictal*.nii.gz") if "interictal" not in path.name} == {
        f"{stem.format(run)}.nii.gz" for run in (1, 2)
    }
    seizure, without = (json.loads((spect / f"{stem.format(run)}.json").read_text()) for run in (1, 2))
    drawn = SubjectPlan(3, "small", 3, ictal_scans="study").seizure()
    assert seizure["InjectionStart"] - seizure["SeizureOnset"] == pytest.approx(drawn.latency, abs=0.05)
    assert seizure["SeizureDuration"] == pytest.approx(drawn.duration, abs=0.05)
    assert "SeizureOnset" not in without
    assert "without a seizure" in without["TaskDescription"]
    assert seizure["ReconFilterSize"] == pytest.approx(7.754, abs=0.01)


def test_make_subject__truth_of_a_study(study):
    folder = truth_folder(study) / "sub-04"
    for run in (1, 2):
        matrix = np.loadtxt(folder / f"sub-04_task-ictal_run-{run}_from-spect_to-T1w_mode-image_xfm.txt")
        assert np.linalg.det(matrix[:3, :3]) == pytest.approx(1.0, abs=1e-6)
    focus = rows(folder / "sub-04_foci.tsv")[-1]
    drawn = SubjectPlan(3, "small", 3, ictal_scans="study").seizure()
    assert (focus["kind"], focus["scan"], focus["side"], focus["lobe"]) == ("hyper", "ictal_run-1", "R", "temporal")
    assert float(focus["volume_ml"]) == pytest.approx(drawn.volume_ml, rel=0.02)
    assert float(focus["strength"]) == pytest.approx(100 * drawn.strength, abs=0.01)
    scans = rows(folder / "sub-04_scans.tsv")
    assert [row["scan"] for row in scans] == ["interictal", "ictal_run-1", "ictal_run-2"]
    for row in scans:
        total = np.hypot(float(row["camera_fwhm"]), float(row["filter_fwhm"]))
        assert float(row["fwhm"]) == pytest.approx(total, abs=1e-3)
    assert float(scans[1]["fwhm"]) == pytest.approx(float(scans[0]["fwhm"]) + 1.774, abs=0.01)


def test_make_subject__focus_is_in_run_1_alone_and_where_the_truth_says(study):
    folder = truth_folder(study) / "sub-04"
    grey = nib.load(folder / "sub-04_label-GM_probseg.nii.gz")
    levels = {row["scan"]: float(row["level"]) for row in rows(folder / "sub-04_scans.tsv")}
    focus = rows(folder / "sub-04_foci.tsv")[-1]
    points = np.moveaxis(np.indices(grey.shape), 0, -1) @ grey.affine[:3, :3].T + grey.affine[:3, 3]
    near = np.linalg.norm(points - [float(focus[axis]) for axis in "xyz"], axis=-1) < 0.6 * float(focus["radius"])
    means = {}
    for scan in levels:
        task, _, run = scan.partition("_")
        name = f"task-{task}_trc-HMPAO" + (f"_{run}" if run else "")
        image = nib.load(study / f"sub-04/spect/sub-04_{name}_spect.nii.gz")
        xfm = np.loadtxt(folder / f"sub-04_task-{scan}_from-spect_to-T1w_mode-image_xfm.txt")
        index = np.linalg.inv(image.affine) @ xfm @ grey.affine
        values = np.squeeze(image.get_fdata())
        means[scan] = ndimage.affine_transform(values, index[:3, :3], index[:3, 3], grey.shape, order=1)[near].mean()
        means[scan] /= levels[scan]
    change = {scan: 100 * (mean / means["interictal"] - 1) for scan, mean in means.items()}
    assert abs(change["ictal_run-2"]) < 15
    assert change["ictal_run-1"] > change["ictal_run-2"] + 0.5 * float(focus["strength"])


def test_make_cohort__study_says_so_in_the_dataset_and_names_the_focus(monkeypatch, tmp_path):
    monkeypatch.setattr(participants, "make_subject", lambda plan, dataset, truth: None)
    make_cohort(tmp_path / "out", 1, seed=3, ictal="study")
    description = json.loads((tmp_path / "out/dataset_description.json").read_text())
    assert "--ictal study" in description["GeneratedBy"][0]["Description"]
    person = rows(tmp_path / "out/participants.tsv")[0]
    assert (person["focus_side"], person["focus_lobe"]) == ("R", "parietal")
    assert {"focus_side", "focus_lobe"} <= set(json.loads((tmp_path / "out/participants.json").read_text()))
    assert "run-2 without" in (tmp_path / "out-truth/README").read_text()


def test_make_subject__cavity_has_a_lesion_mask_that_derivatives_take(cohort):
    truth = truth_folder(cohort)
    assert not (truth / "sub-01" / "anat").exists(), "nothing was resected"
    raw = nib.load(cohort / "sub-02/anat/sub-02_T1w.nii.gz")
    mask = nib.load(truth / "sub-02/anat/sub-02_label-lesion_mask.nii.gz")
    np.testing.assert_allclose(mask.affine, raw.affine, atol=1e-6)
    inside = np.asarray(mask.dataobj) > 0
    (cavity,) = [row for row in rows(truth / "sub-02/sub-02_foci.tsv") if row["kind"] == "cavity"]
    centre = np.array([float(cavity[axis]) for axis in "xyz"])
    places = nib.affines.apply_affine(mask.affine, np.argwhere(inside))
    distance = np.linalg.norm(places - centre, axis=1)
    assert distance.max() < float(cavity["radius"]) + 3
    brain = np.asarray(nib.load(truth / "sub-02/sub-02_desc-brain_mask.nii.gz").dataobj) > 0
    volume = np.count_nonzero(inside) * abs(np.linalg.det(mask.affine[:3, :3]))
    ball = 4 / 3 * np.pi * float(cavity["radius"]) ** 3
    # A part of the ball may lie outside the brain.
    assert 0.3 * ball < volume < 1.1 * ball
    assert (inside & ~brain).mean() == pytest.approx(0, abs=1e-4)
    # Fluid, which is dark.
    values = np.asarray(raw.dataobj, dtype=float)
    assert np.median(values[inside]) < 0.5 * np.median(values[brain & ~inside])
    folder = NamedFolder("truth", truth)
    image = SourceImage(cohort / "sub-02/anat/sub-02_T1w.nii.gz", "T1w", {}, {}, "")
    found, notes = find_external({"T1w": image}, "02", [folder])
    assert found["lesion"].uri == "bids:truth:sub-02/anat/sub-02_label-lesion_mask.nii.gz"
    assert notes == []
