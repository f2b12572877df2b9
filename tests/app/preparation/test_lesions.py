"""Lesion masks through the program: written, used, made again, taken back, refused."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from bids_spectsynth.bids.names import BIDS_VERSION
from bids_spectsynth.bids.output_files import lesion_volumes
from bids_spectsynth.bids.validate import validate_dataset
from bids_spectsynth.phantom.participants import truth_folder
from bids_spectsynth.phantom.plan import SubjectPlan
from bids_spectsynth.phantom.subject import make_subject
from tests.conftest import ALL, TWO_MODELS, App, Result, volume, write_dataset
from tests.packed import unpacked

COHORT = {"01": (*ALL, "ictal"), "02": ("T1w", "interictal")}
MASK = "sub-01/anat/sub-01_label-lesion_mask.nii.gz"
PREPARED = "sub-01/anat/sub-01_space-T1w_label-lesion_mask"
SISCOM = "sub-01/spect/sub-01_task-ictal_trc-HMPAO_space-T1w_desc-siscomReal"
#: A cavity on the right; a focus on the left, and one at the cavity's border.
CAVITY, FOCUS, BORDER = (32, 20, 16), (-32, -12, 20), (32, -12, 16)


def ball(centre: tuple[float, ...], radius: float) -> np.ndarray:
    points = np.indices((24, 24, 24)).T * 8.0 - 92
    return np.asarray(radius > np.linalg.norm(points - centre, axis=-1).T)


@pytest.fixture(scope="module")
def bids_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of 01 a part was resected: every image is dark there."""
    folder = write_dataset(tmp_path_factory.mktemp("lesions") / "data", COHORT)
    hot = np.where(ball(FOCUS, 18) | ball(BORDER, 14), 1.7, 1)
    scan = volume(1, 3.0, 0.3)
    path = folder / "sub-01" / "spect" / "sub-01_task-ictal_trc-HMPAO_spect.nii.gz"
    nib.save(nib.Nifti1Image((np.asarray(scan.dataobj) * hot).astype(np.float32), scan.affine), path)
    for path in sorted((folder / "sub-01").rglob("*.nii.gz")):
        image = nib.load(path)
        data = np.asarray(image.dataobj, dtype=np.float32)
        nib.save(nib.Nifti1Image(np.where(ball(CAVITY, 22), 0.35 * data, data), image.affine), path)
    return folder


@pytest.fixture
def hand(tmp_path: Path) -> Path:
    (tmp_path / "hand" / "sub-01" / "anat").mkdir(parents=True)
    return tmp_path / "hand"


def draw(hand: Path, inside: np.ndarray | None = None, **header: Any) -> None:
    inside = ball(CAVITY, 24) if inside is None else inside
    affine = header.get("affine", volume(1, 1, 0).affine)
    nib.save(nib.Nifti1Image(inside.astype(np.uint8), affine), hand / MASK)


def run(app: App, hand: Path | None, *options: str) -> Result:
    given = () if hand is None else ("--derivatives", f"hand={hand}")
    return app("--mode", "preprocess", "--siscom-baselines", "real", "pet", *given, *options)


def contents(app: App) -> dict[str, bytes]:
    files = sorted(path for path in app.output_dir.rglob("sub-*/**/*") if path.is_file())
    found = {path.relative_to(app.output_dir).as_posix(): unpacked(path) for path in files}
    return {name: data for name, data in found.items() if not name.startswith((".manifests", "work", "logs"))}


def facts(app: App, name: str) -> dict[str, Any]:
    return dict(json.loads((app.output_dir / f"{name}.json").read_text()))


@pytest.fixture(scope="module")
def before(bids_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> App:
    """Prepared without a mask; not to be changed."""
    app = App(bids_dir, tmp_path_factory.mktemp("before") / "out")
    assert run(app, None).code == 0
    return app


def test_mask__is_written_used_recorded_and_valid(bids_dir: Path, hand: Path, tmp_path: Path) -> None:
    draw(hand)
    app = App(bids_dir, tmp_path / "out")
    result = run(app, hand)
    assert result.code == 0, result.err
    image = nib.load(app.output_dir / f"{PREPARED}.nii.gz")
    middle = nib.affines.apply_affine(image.affine, np.argwhere(np.asanyarray(image.dataobj) > 0)).mean(axis=0)
    np.testing.assert_allclose(middle, CAVITY, atol=2)
    own = facts(app, PREPARED)
    assert own["Type"] == "Lesion"
    assert own["Sources"] == ["bids:raw:sub-01/anat/sub-01_T1w.nii.gz", f"bids:hand:{MASK}"]
    assert own["Volume"] == pytest.approx(np.count_nonzero(ball(CAVITY, 24)) * 0.512)
    assert {name: row["lesion_ml"] for name, row in app.participants().items()} == {
        "sub-01": f"{own['Volume']:.1f}", "sub-02": "n/a",
    }  # fmt: skip
    of_map = facts(app, f"{SISCOM}_stat-z_statmap")
    assert f"bids::{PREPARED}.nii.gz" in of_map["Sources"]
    assert any("kept out of alignment, level, fits" in note for note in of_map["Notes"])
    foci = pd.read_csv(app.output_dir / f"{SISCOM}_clusters.tsv", sep="\t", keep_default_na=False)
    hyper = foci[foci["sign"] == "hyper"]
    flagged = {row["x_mm"] > 0: "lesion" in row["flags"] for _, row in hyper.iterrows()}
    assert flagged == {False: False, True: True}, "a focus at the border is found, and says so"
    assert [str(issue) for issue in validate_dataset(app.output_dir) if issue.severity == "error"] == []


def test_mask__given_later_is_as_given_from_the_start_and_taken_back_as_never_given(
    before: App, hand: Path, tmp_path: Path
) -> None:
    app, first = before.copy(tmp_path), contents(before)
    draw(hand)
    app.calls.clear()
    assert run(app, hand).code == 0
    assert app.calls == [], "nothing is registered anew"
    later = contents(app)
    changed = {name for name in later if later[name] != first.get(name)}
    assert {name for name in changed if "siscom" not in name} == {f"{PREPARED}{end}" for end in (".nii.gz", ".json")}
    assert any("siscomReal_stat-z" in name for name in changed)
    stamps = app.stamps("sub-*/**/*.nii.gz", "sub-*/**/*.tsv")
    assert run(app, hand).code == 0
    assert app.stamps("sub-*/**/*.nii.gz", "sub-*/**/*.tsv") == stamps, "a second run makes nothing anew"

    start = App(before.bids_dir, tmp_path / "start")
    assert run(start, hand).code == 0
    assert contents(start) == later

    draw(hand, ball(CAVITY, 17))
    assert run(app, hand).code == 0
    assert contents(app) != later, "a mask that is drawn anew"
    (hand / MASK).unlink()
    assert run(app, None).code == 0
    assert contents(app) == first
    assert app.participants()["sub-01"]["lesion_ml"] == "n/a"


def test_mask__voxels_under_it_change_neither_level_nor_null_nor_other_foci(
    before: App, hand: Path, tmp_path: Path
) -> None:
    """Only the ictal scan is another; it is prepared by splines, which reach beyond the mask, and so well inside."""
    draw(hand)
    other = tmp_path / "data"
    shutil.copytree(before.bids_dir, other)
    (path,) = (other / "sub-01" / "spect").glob("*_task-ictal_*spect.nii.gz")
    image = nib.load(path)
    data = np.asarray(image.dataobj, dtype=np.float32)
    nib.save(nib.Nifti1Image(np.where(ball(CAVITY, 12), 3 * data, data), image.affine), path)

    def statistics(app: App) -> tuple[np.ndarray, np.ndarray]:
        """Level, standard deviation, null; and the foci that are not in the lesion or near it."""
        one = facts(app, f"{SISCOM}_stat-z_statmap")
        foci = pd.read_csv(app.output_dir / f"{SISCOM}_clusters.tsv", sep="\t", keep_default_na=False)
        elsewhere = foci[foci["x_mm"] < 0][["x_mm", "y_mm", "z_mm", "volume_ml", "znull_max", "percent_max"]]
        null = one["Levels"]["mode"], one["StandardDeviationPercent"], one["Null"]["CriticalMass"]
        return np.array(null), elsewhere.to_numpy(dtype=float)

    def made(folder: Path, name: str, mask: Path | None) -> tuple[np.ndarray, np.ndarray]:
        app = App(folder, tmp_path / name)
        assert run(app, mask, "--participant-label", "01").code == 0
        return statistics(app)

    plain, changed = made(before.bids_dir, "plain", hand), made(other, "changed", hand)
    assert len(plain[1]) > 0
    for one, another in zip(plain, changed, strict=True):
        np.testing.assert_allclose(another, one, rtol=1e-3)
    counted = statistics(before)[0], made(other, "counted", None)[0]
    spread, null = np.abs(counted[1] / counted[0] - 1)[1:]
    assert spread > 0.02, "without the mask it counts"
    assert null > 0.1


def test_mask__is_that_of_every_space_whichever_a_run_asks_for(before: App, hand: Path, tmp_path: Path) -> None:
    """SISCOM is made in the space of the T1w, also by a run that prepares another."""
    app, others = before.copy(tmp_path), ("--output-spaces", "MNI152NLin2009aSym")
    in_t1w, in_template = (app.output_dir / f"{PREPARED.replace('T1w', one)}.nii.gz" for one in ("T1w", others[1]))
    z = app.output_dir / f"{SISCOM}_stat-z_statmap.nii.gz"
    plain = unpacked(z)
    draw(hand)
    assert run(app, hand, *others).code == 0
    assert in_template.exists()
    first, of_first = unpacked(in_t1w), unpacked(z)
    assert of_first != plain
    draw(hand, ball(CAVITY, 17))
    assert run(app, hand, *others).code == 0
    assert unpacked(in_t1w) != first, "a mask that is drawn anew"
    assert unpacked(z) != of_first
    (hand / MASK).unlink()
    gone = run(app, None, *others)
    assert gone.code == 0
    assert len(gone.says("sub-01: the lesion mask", MASK, "is not given any more")) == 1
    assert not in_t1w.exists()
    assert not in_template.exists()
    assert app.participants()["sub-01"]["lesion_ml"] == "n/a"
    assert unpacked(z) == plain


def test_none__pays_no_heed(before: App, hand: Path, tmp_path: Path) -> None:
    app = before.copy(tmp_path)
    draw(hand)
    assert run(app, hand).code == 0
    assert run(app, hand, "--lesion-mask", "none").code == 0
    found = contents(app)
    assert found.keys() == contents(before).keys()
    (hand / MASK).unlink()
    assert run(app, hand).code == 0
    assert contents(app) == found


@pytest.mark.parametrize(
    ("inside", "why"),
    [
        (np.zeros((24, 24, 24)), "the lesion mask is empty"),
        (ball((0, 0, 0), 58), "it is no lesion"),
        (ball((84, 0, 0), 9), "outside the brain"),
        (ball(CAVITY, 20) * np.arange(24), "different values"),
    ],
)
def test_mask__that_cannot_be_used_fails_its_participant_alone(
    before: App, hand: Path, tmp_path: Path, inside: np.ndarray, why: str
) -> None:
    app = before.copy(tmp_path)
    draw(hand)
    assert run(app, hand).code == 0
    draw(hand, inside)
    result = run(app, hand)
    assert result.code == 1
    (line,) = {line.partition("sub-01 failed: ")[2] for line in result.says("sub-01 failed: ")}
    assert why in line
    assert MASK in line
    rows = app.participants()
    assert (rows["sub-01"]["status"], rows["sub-01"]["failed_in"], rows["sub-02"]["status"]) == (
        "failed", "preprocess", "ok",
    )  # fmt: skip
    assert rows["sub-01"]["lesion_ml"] == "n/a"
    assert not (app.output_dir / f"{PREPARED}.nii.gz").exists()


def test_dry_run__names_the_mask(bids_dir: Path, hand: Path, tmp_path: Path) -> None:
    draw(hand)
    result = run(App(bids_dir, tmp_path / "out"), hand, "--dry-run")
    assert result.says(f"lesion mask: bids:hand:{MASK}")


def test_all__leaves_the_lesion_out_of_the_ratings_and_the_group_has_its_rows(
    finished: App, hand: Path, tmp_path: Path
) -> None:
    """A held-out participant with a lesion: rated anew with ``all``, as before with ``siscom``, in rows of its own."""
    app = finished.copy(tmp_path)
    (hand / "sub-04" / "anat").mkdir(parents=True)
    path = hand / "sub-04" / "anat" / "sub-04_label-lesion_mask.nii.gz"
    nib.save(nib.Nifti1Image(ball(CAVITY, 24).astype(np.uint8), volume(1, 1, 0).affine), path)
    tables = ("sub-*/**/*_metrics.tsv", "sub-*/**/*_volume.tsv", "sub-*/**/*_regions.tsv")
    stamps, images = app.stamps(*tables), app.stamps("sub-*/**/*.nii.gz")
    options = (*TWO_MODELS, "--mode", "apply", "--derivatives", f"hand={hand}", "--participant-label", "04")

    assert app(*options).code == 0
    assert app.stamps(*tables) == stamps, "by default the metrics pay no heed to it"
    assert facts(app, PREPARED.replace("01", "04"))["ExternalSource"].startswith("bids:hand:")
    links = facts(app, "dataset_description")["DatasetLinks"]
    assert (app.output_dir / links["hand"]).samefile(hand), "the mask's URI leads somewhere, with --mode apply as well"
    assert app(level="group").code == 0
    group = pd.read_csv(app.output_dir / "group_lesions.tsv", sep="\t", keep_default_na=False)
    own = group[(group["metric"] == "mask_rmse") & (group["lesion"] == "with")]
    assert set(own["n_subjects"].astype(int)) == {1}
    assert set(group[group["lesion"] == "with"]["lesion_left_out"]) == {"no"}

    plain = {name: (app.output_dir / name).read_bytes() for name in stamps}
    assert app(*options, "--lesion-mask", "all").code == 0
    changed = {name for name, when in app.stamps(*tables).items() if when != stamps[name]}
    assert changed == {name for name in stamps if name.startswith("sub-04/")}
    assert all((app.output_dir / name).read_bytes() != plain[name] for name in changed)
    now = app.stamps("sub-*/**/*.nii.gz")
    assert {name for name in now if now[name] != images.get(name)} == {
        "sub-04/anat/sub-04_space-T1w_label-lesion_mask.nii.gz"
    }
    assert app(level="group").code == 0
    group = pd.read_csv(app.output_dir / "group_lesions.tsv", sep="\t", keep_default_na=False)
    assert set(group[group["lesion"] == "with"]["lesion_left_out"]) == {"yes"}
    assert "With and without a lesion" in (app.output_dir / "group.html").read_text()

    path.unlink()
    assert app(*options).code == 0
    assert {name: (app.output_dir / name).read_bytes() for name in stamps} == plain
    assert app(level="group").code == 0
    assert not (app.output_dir / "group_lesions.tsv").exists()


def test_phantom__a_simulated_resection_and_its_truth_as_derivatives(tmp_path: Path) -> None:
    """The second subject has a cavity; its mask passes all checks, with the real brain extraction."""
    data = tmp_path / "data"
    make_subject(SubjectPlan(1, "small", 3), data, truth_folder(data))
    for datatype in ("pet", "spect"):
        shutil.rmtree(data / "sub-02" / datatype)  # nothing of the mask depends on them
    (data / "dataset_description.json").write_text(json.dumps({"Name": "phantom", "BIDSVersion": BIDS_VERSION}))
    options = ["participant", "--mode", "preprocess", "--backend", "embedded", "--voxel-size", "4", "--nprocs", "1",
               "--skip-bids-validation", "--derivatives", f"truth={truth_folder(data)}"]  # fmt: skip
    program = [sys.executable, "-c", "from bids_spectsynth.cli import entry_point; entry_point()"]
    result = subprocess.run([*program, data, tmp_path / "out", *options], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    path = tmp_path / "out" / "sub-02" / "anat" / "sub-02_space-T1w_label-lesion_mask.nii.gz"
    drawn, inside = lesion_volumes(path)
    truth = nib.load(truth_folder(data) / "sub-02" / "anat" / "sub-02_label-lesion_mask.nii.gz")
    voxels = np.asarray(truth.dataobj) > 0
    assert drawn == pytest.approx(np.count_nonzero(voxels) * abs(np.linalg.det(truth.affine[:3, :3])) / 1000, abs=0.01)
    assert inside > 0.7 * drawn
    image = nib.load(path)
    own, true = (
        nib.affines.apply_affine(one.affine, np.argwhere(np.asarray(one.dataobj) > 0)) for one in (image, truth)
    )
    np.testing.assert_allclose(own.mean(axis=0), true.mean(axis=0), atol=1)
    assert "lesion mask: bids:truth:sub-02/anat/sub-02_label-lesion_mask.nii.gz" in result.stderr


def test_mask__outside_the_brain_mask_and_in_the_head_is_used_with_a_warning(
    before: App, hand: Path, tmp_path: Path
) -> None:
    """As that of a cavity which the brain mask goes around exactly."""
    app = before.copy(tmp_path)
    draw(hand, ball((0, 84, 0), 9))
    result = run(app, hand)
    assert result.code == 0, result.err
    assert result.says(f"sub-01: bids:hand:{MASK}: 0 of the ")
    assert facts(app, PREPARED)["VolumeInBrain"] == 0
    assert any("Nothing of the lesion mask lies" in note for note in facts(app, f"{SISCOM}_stat-z_statmap")["Notes"])
