"""What a dry run says."""

from pathlib import Path
from typing import Any

import pytest

from bids_spectsynth.app import estimate
from bids_spectsynth.app.plan import check_plan, plan_lines
from bids_spectsynth.bids.finding.cases import Case, SourceImage
from bids_spectsynth.errors import ModelError, Outcome
from bids_spectsynth.options.settings import Settings, make_settings


def settings(**values: Any) -> Settings:
    plain = {"bids_dir": "/data", "output_dir": "/out", "analysis_level": "participant", "backend": "embedded"}
    return make_settings({**plain, **values})


def test_files_reasons_and_warnings_of_each_participant() -> None:
    image = SourceImage(Path("/data/sub-01/anat/sub-01_T1w.nii.gz"), "T1w", {}, {}, "the only candidate")
    linked = SourceImage(Path("/elsewhere/pet.nii.gz"), "pet", {}, {}, "by the filter file")
    ictal = SourceImage(Path("/data/sub-01/ses-x/spect/run-2.nii.gz"), "ictal", {"run": "2"}, {}, "in ses-x", "x")
    case = Case("01", "a", {"T1w": image, "pet": linked, "ictal2": ictal}, ("no interictal SPECT",))
    outcomes = [Outcome("02", None, "find", "skipped", "no T1w image"), Outcome("03", "b", "find", "failed", "two")]
    lines = plan_lines(settings(), [case], outcomes)
    assert lines[0] == "dry run: nothing is written; 1 to prepare, 2 skipped or failed"
    assert lines[1:8] == [
        "sub-01_ses-a:",
        "  T1w: sub-01/anat/sub-01_T1w.nii.gz (the only candidate)",
        "  pet: /elsewhere/pet.nii.gz (by the filter file)",
        "  ictal2: sub-01/ses-x/spect/run-2.nii.gz (in ses-x)",
        "  warning: no interictal SPECT",
        "sub-02: skipped: no T1w image",
        "sub-03 ses-b: failed: two",
    ]


@pytest.mark.parametrize(
    ("values", "stages"),
    [
        ({}, ["prepare", "train pix2pixT1wPet", "apply the models", "subtract"]),
        ({"mode": "preprocess"}, ["prepare", "subtract"]),
        ({"mode": "train", "inputs": [["pet"], ["T1w"]]}, ["train pix2pixPet, pix2pixT1w"]),
        ({"mode": "apply"}, ["prepare", "apply the models", "subtract"]),
        ({"mode": "preprocess", "export": ["dicom"]}, ["prepare", "subtract", "write DICOM (NM) without identity"]),
        ({"model": "/models/mine"}, ["prepare", "apply /models/mine", "subtract"]),
    ],
)
def test_stages_follow_the_mode(values: dict[str, Any], stages: list[str]) -> None:
    lines = [line.removeprefix("then: ") for line in plan_lines(settings(**values), [], []) if line.startswith("then")]
    assert len(lines) == len(stages)
    assert all(line.startswith(stage) for line, stage in zip(lines, stages, strict=True))


def test_preparation_is_described() -> None:
    lines = plan_lines(settings(voxel_size=2, output_spaces=["T1w", "MNI152NLin6Sym"]), [], [])
    assert "then: prepare with the embedded backend at 2 mm in T1w, MNI152NLin6Sym" in lines


def complete(label: str, roles: tuple[str, ...] = ("T1w", "pet", "interictal")) -> Case:
    return Case(label, None, {r: SourceImage(Path(f"/data/{label}/{r}"), r, {}, {}, "only") for r in roles}, ())


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Trainings whose step was measured; a slice takes a tenth of a second."""
    configurations: list[Any] = []

    def measure(config: Any, device: str, threads: int) -> float:
        configurations.append((config, device, threads))
        return 0.1

    monkeypatch.setattr(estimate, "measure_step", measure)
    return configurations


def test_the_papers_study_is_planned(measured: list[Any]) -> None:
    chosen = settings(study="fard2024", epochs=10, voxel_size=2, nprocs=2, output_spaces=["T1w", "MNI152NLin2009aSym"])
    lines = plan_lines(chosen, [complete(f"{n}") for n in range(8)], [])
    start = lines.index("models to train: 12")
    assert lines[start + 1] == "  pix2pixT1w: T1w in T1w, L1+BCE, recipe fard2024, seed 1234, 1 network"
    assert all(line.endswith("1 network") for line in lines[start + 1 : start + 13])
    assert any("L1+BCE+SSIM" in line for line in lines[start:])
    assert "split, if all can be prepared: 5 train, 1 validation, 2 test" in lines
    # 12 networks x 10 epochs x 50 slices x (5 + 1 / 4 heads) x 0.1 s
    assert "estimate, time: training 52 min, from a step measured now on this machine" in lines
    assert [(device, threads) for _, device, threads in measured] == [("auto", 2)]
    assert "estimate, time: preparation, not in that, roughly 20 s a participant on two cores" in lines
    assert not any("SISCOM" in line for line in lines)
    assert any(line.startswith("estimate, disk: ") and "synthetic" in line for line in lines)


def test_a_cross_validation_is_planned(measured: list[Any]) -> None:
    chosen = settings(cross_validate=4, ensemble_members=2, epochs=1, voxel_size=4)
    lines = plan_lines(chosen, [complete(f"{n}") for n in range(8)], [])
    assert "  pix2pixT1wPet: T1w + pet in T1w, L1+BCE, recipe fard2024, seed 1234, 8 networks" in lines
    assert "split, if all can be prepared: 4 folds that hold out 2, 2, 2, 2; fold 1: 5 train, 1 validation, 2 test" in (
        lines
    )


def test_folds_by_site_are_those_of_who_can_take_part(measured: list[Any], tmp_path: Path) -> None:
    sites = "".join(f"sub-{n}\t{'ABCD'[n // 2]}\n" for n in range(8))
    (tmp_path / "participants.tsv").write_text(f"participant_id\tsite\n{sites}")
    chosen = settings(bids_dir=tmp_path, cross_validate="site", epochs=1, voxel_size=4)
    # Nobody of the fourth site has a SPECT.
    cases = [complete(f"{n}") for n in range(6)] + [complete(f"{n}", ("T1w", "pet")) for n in (6, 7)]
    lines = plan_lines(chosen, cases, [])
    assert "  pix2pixT1wPet: T1w + pet in T1w, L1+BCE, recipe fard2024, seed 1234, 3 networks" in lines
    assert any("3 folds that hold out 2, 2, 2" in line for line in lines)


def test_a_split_that_is_not_possible_is_said(measured: list[Any]) -> None:
    lines = plan_lines(settings(), [complete("1"), complete("2")], [])
    assert len([line for line in lines if line.startswith("split: not possible") and "2 participant(s)" in line]) == 1
    assert measured == []


@pytest.mark.parametrize("values", [{"mode": "preprocess"}, {"mode": "apply"}, {"model": "/m"}], ids=str)
def test_without_training_nothing_is_measured(measured: list[Any], values: dict[str, Any]) -> None:
    lines = plan_lines(settings(**values), [complete("1")], [])
    assert measured == []
    assert not [line for line in lines if line.startswith(("models", "split", "estimate"))]


def test_a_training_needs_nothing_of_the_preparation(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same options go to every stage, also to a node where the runner of the preparation is missing."""
    monkeypatch.setenv("PATH", "/nowhere")
    lines = plan_lines(settings(mode="train", backend="fsl", fsl_runner="singularity"), [], [])
    assert any(line.startswith("then: train") for line in lines)


@pytest.mark.parametrize(
    ("values", "roles", "words"),
    [
        ({"inputs": [["T2w", "pet"]]}, ("T1w", "pet", "interictal"), "T2w"),
        ({}, ("T1w", "pet"), "interictal SPECT"),
        ({"mode": "apply", "inputs": [["T2w"], ["FLAIR"]]}, ("T1w", "pet"), "(FLAIR, T2w)"),
        ({"model": "/m"}, ("T1w",), "(T1w + pet)"),
    ],
    ids=["nobody has an input", "nobody has a target", "nobody has an input of the models", "of the one model"],
)
def test_check_plan__what_cannot_run(values: dict[str, Any], roles: tuple[str, ...], words: str) -> None:
    with pytest.raises(ModelError) as caught:
        check_plan(settings(**values), [complete(f"{n}", roles) for n in range(8)])
    assert words in str(caught.value)


def test_check_plan__what_can_run() -> None:
    cases = [complete(f"{n}") for n in range(8)]
    for values in ({}, {"mode": "preprocess", "inputs": [["T2w"]]}, {"mode": "apply"}):
        check_plan(settings(**values), cases)
    # Nobody at all has a code of its own.
    check_plan(settings(), [])


def test_check_plan__training_on_nobody(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        check_plan(settings(mode="train", output_dir=tmp_path), [])


def test_plan_lines__siscom_of_every_ictal_scan_is_estimated(measured: list[Any]) -> None:
    cases = [complete(f"{n:02}", ("T1w", "pet", "interictal", "ictal", "ictal2")) for n in range(8)]
    line = "estimate, time: SISCOM, not in that, roughly 7 s a baseline, of 16 ictal scans"
    assert line in plan_lines(settings(voxel_size=2), cases, [])
    assert line not in plan_lines(settings(voxel_size=2, siscom="off"), cases, [])
