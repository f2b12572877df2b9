import dataclasses
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from bids_spectsynth.bids.output_files import case_tables, find_ratings, synthetic_path
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.table_records import CHECKSUM, ROWS
from bids_spectsynth.bids.writing import write_image, write_json, write_matrix
from bids_spectsynth.errors import ImageError, ModelError
from bids_spectsynth.evaluation.case.evaluate import evaluate_case
from bids_spectsynth.evaluation.case.metrics import METRICS, slice_metrics
from bids_spectsynth.evaluation.case.region_columns import VOLUME_DICTIONARY
from bids_spectsynth.evaluation.case.slice_columns import slice_dictionary
from bids_spectsynth.evaluation.group.tables import group_tables
from bids_spectsynth.options.settings import Scaling
from bids_spectsynth.synthesis.baselines.fitting import fit_baselines
from bids_spectsynth.synthesis.baselines.predict import predict
from bids_spectsynth.synthesis.baselines.registry import BASELINES
from bids_spectsynth.synthesis.data.scaling import apply_scaling, scaling_coefficients
from bids_spectsynth.synthesis.data.slices import load_case
from bids_spectsynth.synthesis.models.card import CARD_FILE, ModelCard

SHAPE = (16, 18, 9)
AFFINE = np.array([[4.0, 0, 0, -30], [0, 4, 0, -34], [0, 0, 4, -15], [0, 0, 0, 1]])
CARD = ModelCard(
    label="pix2pixT1wPet",
    inputs=("T1w", "pet"),
    target="interictal",
    space="T1w",
    voxel_size=4.0,
    grid_shape=SHAPE,
    scaling="slice",
    architecture={"levels": 8, "base_filters": 4, "input_channels": 2, "output_channels": 1},
    losses={},
    training={},
    versions={},
    target_statistics={
        "mean_in_brain": 1.0,
        "units": "arbitrary",
        "heights": [0.0],
        "log_gain": [0.0],
        "log_step": [0.0],
    },
    validation={},
    config={},
    salt="",
    participants=(),
    selection_participants=(),
    weights_sha256="0" * 64,
    created="",
)


def brain() -> np.ndarray:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[2:14, 2:16, 2:8] = True
    return mask


def measured() -> np.ndarray:
    """The SPECT's own mask: not as far down and right as the brain, and beyond it on the left."""
    mask = np.zeros(SHAPE, dtype=bool)
    mask[0:10, 2:16, 4:9] = True
    return mask


def with_spect_mask(case: PreparedCase) -> PreparedCase:
    """Outside its own mask the prepared SPECT is 0."""
    spect, mask = case.images["interictal"], case.images["interictal"].with_name("spect_mask.nii.gz")
    data = np.asarray(nib.load(spect).dataobj) * measured()
    write_image(spect, nib.Nifti1Image(data.astype(np.float32), AFFINE), {"Units": "arbitrary"})
    write_image(mask, nib.Nifti1Image(measured().astype(np.uint8), AFFINE), {})
    return dataclasses.replace(case, masks={**case.masks, "interictal": mask})


def prepare(output_dir: Path, participant: str, session: str | None = None) -> PreparedCase:
    rng = np.random.default_rng(int(participant))
    folder = output_dir / f"sub-{participant}"
    images = {}
    for role in ("T1w", "pet", "interictal"):
        images[role] = folder / f"{role}.nii.gz"
        data = np.where(brain(), rng.uniform(10, 20, SHAPE), 0).astype(np.float32)
        write_image(images[role], nib.Nifti1Image(data, AFFINE), {"Units": "arbitrary"})
    mask = folder / "mask.nii.gz"
    write_image(mask, nib.Nifti1Image(brain().astype(np.uint8), AFFINE), {})
    xfm = folder / "xfm.txt"
    write_matrix(xfm, np.eye(4), {})
    return PreparedCase(participant, session, "T1w", images, {"T1w": mask}, xfm, "MNI")


def write_synthetic(case: PreparedCase, output_dir: Path, seed: int = 0) -> np.ndarray:
    output = np.random.default_rng(seed).uniform(-0.9, 0.9, SHAPE).astype(np.float32)
    slope = np.linspace(1, 3, SHAPE[2])
    path = synthetic_path(output_dir, case, CARD.label)
    scales = {"Synthetic": True, "ScaleSlope": slope.tolist(), "ScaleIntercept": slope.tolist()}
    write_image(path, nib.Nifti1Image((slope * output + slope).astype(np.float32), AFFINE), scales)
    return output


def own_scale(path: Path) -> pd.DataFrame:
    table = pd.read_csv(path, sep="\t")
    return table[table["scale"] == CARD.scaling].reset_index(drop=True)


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "models" / "renamed"
    folder.mkdir(parents=True)
    write_json(folder / CARD_FILE, dataclasses.asdict(CARD))
    return folder


def test_network_and_baselines_are_rated_on_the_real_image(tmp_path: Path, model_folder: Path) -> None:
    training = [prepare(tmp_path, name) for name in ("01", "02")]
    baselines = fit_baselines(training, CARD.inputs, CARD.scaling)
    baselines.save(model_folder)
    case = prepare(tmp_path, "03", "x")
    output = write_synthetic(case, tmp_path)
    path = evaluate_case(case, model_folder, tmp_path, 2.3, "test")
    expected = "sub-03/ses-x/spect/sub-03_ses-x_task-interictal_space-T1w_desc-pix2pixT1wPet_metrics.tsv"
    assert path == tmp_path / expected
    assert find_ratings(tmp_path, "metrics") == [path]
    table = pd.read_csv(path, sep="\t", keep_default_na=False)
    assert list(table.columns) == list(slice_dictionary())
    assert list(json.loads(path.with_suffix(".json").read_text())) == [ROWS, CHECKSUM, *slice_dictionary()]
    assert set(table["method"]) == {"pix2pix", *BASELINES}
    first = table.iloc[0]
    assert (first["participant_id"], first["session_id"], first["split"]) == ("sub-03", "ses-x", "test")
    assert (first["model"], first["inputs"], first["scaling"]) == (CARD.label, "T1w+pet", "slice")
    assert first["data_range"] == 2.3
    assert table["slice"].unique().tolist() == [2, 3, 4, 5, 6, 7]
    np.testing.assert_allclose(table["z_mm"], 4 * table["slice"] - 15)
    real = load_case(case, ("T1w",), "slice").target
    for method, image in {"pix2pix": output, **predict(baselines, case)}.items():
        wanted = slice_metrics(real, image, brain(), 2.3)
        found = table[(table["method"] == method) & (table["scale"] == "slice")].reset_index()[wanted.columns]
        np.testing.assert_allclose(found.astype(float), wanted, rtol=1e-4)


@pytest.mark.parametrize(("own", "other"), [("slice", "volume"), ("volume", "slice")])
def test_the_network_is_also_rated_on_the_other_scale(
    tmp_path: Path, model_folder: Path, own: Scaling, other: Scaling
) -> None:
    write_json(model_folder / CARD_FILE, dataclasses.asdict(dataclasses.replace(CARD, scaling=own)))
    case = with_spect_mask(prepare(tmp_path, "03"))
    fit_baselines([prepare(tmp_path, "01")], CARD.inputs, own).save(model_folder)
    write_synthetic(case, tmp_path)
    table = pd.read_csv(evaluate_case(case, model_folder, tmp_path, 2.0, "test"), sep="\t")
    assert table[table["scale"] == own]["method"].unique().tolist() == ["pix2pix", *BASELINES]
    found = table[table["scale"] == other]
    assert set(found["method"]) == {"pix2pix"}
    assert set(table["scaling"]) == {own}
    # What a reader of the two files would do.
    values = np.asarray(nib.load(synthetic_path(tmp_path, case, CARD.label)).dataobj)
    real = np.asarray(nib.load(case.images["interictal"]).dataobj)
    rated = brain() & measured()
    matched = values * real[rated].mean() / values[rated].mean()
    scaled = apply_scaling(matched, *scaling_coefficients(real, brain(), other))
    wanted = slice_metrics(load_case(case, ("T1w",), other).target, scaled, brain() & measured(), 2.0)
    np.testing.assert_allclose(found[wanted.columns].astype(float), wanted, rtol=1e-4)


def test_units_do_not_matter_on_the_other_scale(tmp_path: Path, model_folder: Path) -> None:
    case = prepare(tmp_path, "03")
    tables = []
    for gain in (1.0, 7.0):
        real = np.asarray(nib.load(case.images["interictal"]).dataobj)
        sidecar = {"ScaleSlope": [1.0] * SHAPE[2], "ScaleIntercept": [1.0] * SHAPE[2]}
        path = synthetic_path(tmp_path, case, CARD.label)
        write_image(path, nib.Nifti1Image((gain * real).astype(np.float32), AFFINE), sidecar)
        table = pd.read_csv(evaluate_case(case, model_folder, tmp_path, 2.0, "test"), sep="\t")
        tables.append(table[table["scale"] == "volume"]["mask_rmse"])
    np.testing.assert_allclose(tables, 0, atol=1e-6)


@pytest.mark.parametrize(("own", "configuration"), [(CARD.label, "family"), ("another", CARD.label)])
def test_a_member_of_an_ensemble_is_rated_under_the_label_of_the_whole(
    tmp_path: Path, model_folder: Path, own: str, configuration: str
) -> None:
    member = dataclasses.replace(CARD, label=own, config={"seed": 7, "configuration": "family"})
    write_json(model_folder / CARD_FILE, dataclasses.asdict(member))
    case = prepare(tmp_path, "03")
    write_synthetic(case, tmp_path)
    path = evaluate_case(case, model_folder, tmp_path, 2.0, "test", label=CARD.label)
    assert f"_desc-{CARD.label}_metrics.tsv" in path.name
    for one in case_tables(tmp_path, case, CARD.label):
        table = pd.read_csv(one, sep="\t", keep_default_na=False)
        assert set(zip(table["model"], table["configuration"], table["seed"], strict=True)) == {
            (CARD.label, configuration, 7)
        }


def test_model_without_baselines_is_rated_alone(tmp_path: Path, model_folder: Path) -> None:
    case = prepare(tmp_path, "03")
    write_synthetic(case, tmp_path)
    path = evaluate_case(case, model_folder, tmp_path, 2.0, "external")
    table = pd.read_csv(path, sep="\t", keep_default_na=False)
    assert set(table["method"]) == {"pix2pix"}
    assert set(table["session_id"]) == {"n/a"}


def test_only_what_was_measured_is_rated_in_the_brain(tmp_path: Path, model_folder: Path) -> None:
    case = with_spect_mask(prepare(tmp_path, "03"))
    output = write_synthetic(case, tmp_path)
    first = own_scale(evaluate_case(case, model_folder, tmp_path, 2.0, "test"))
    assert first["slice"].tolist() == [4, 5, 6, 7]
    rated = brain() & measured()
    assert first["mask_voxels"].tolist() == rated.sum(axis=(0, 1))[4:8].tolist()
    # An error where there is no reference shows on the whole slice alone.
    path = synthetic_path(tmp_path, case, CARD.label)
    slope = np.linspace(1, 3, SHAPE[2])
    there = brain() & ~measured()
    there[:11] = False
    worse = slope * np.where(there, 0.99, output) + slope
    sidecar = json.loads(path.with_name(path.name.replace(".nii.gz", ".json")).read_text())
    write_image(path, nib.Nifti1Image(worse.astype(np.float32), AFFINE), sidecar)
    second = own_scale(evaluate_case(case, model_folder, tmp_path, 2.0, "test"))
    np.testing.assert_allclose(second["mask_rmse"], first["mask_rmse"], rtol=1e-6)
    assert (second["rmse"] > first["rmse"]).all()


def test_a_spect_beside_the_brain_is_refused(tmp_path: Path, model_folder: Path) -> None:
    case = with_spect_mask(prepare(tmp_path, "03"))
    write_synthetic(case, tmp_path)
    write_image(case.masks["interictal"], nib.Nifti1Image((~brain()).astype(np.uint8), AFFINE), {})
    with pytest.raises(ImageError, match="sub-03: its SPECT does not overlap with the brain"):
        evaluate_case(case, model_folder, tmp_path, 2.0, "test")


def test_the_block_is_that_of_training(tmp_path: Path, model_folder: Path) -> None:
    case = prepare(tmp_path, "03")
    mask = brain()
    mask[2:8, :, 2:4] = False
    write_image(case.masks["T1w"], nib.Nifti1Image(mask.astype(np.uint8), AFFINE), {})
    write_synthetic(case, tmp_path)
    card = dataclasses.replace(CARD, config={"slices_per_subject": 4})
    write_json(model_folder / CARD_FILE, dataclasses.asdict(card))
    path = evaluate_case(case, model_folder, tmp_path, 2.0, "test")
    table = pd.read_csv(path, sep="\t", dtype={"in_block": str}).set_index("slice")
    assert table["in_block"].to_dict() == {k: "true" if k >= 4 else "false" for k in range(2, 8)}
    assert table["block_position"].dropna().to_dict() == {4: 0, 5: 1, 6: 2, 7: 3}
    assert "\t3\t" in path.read_text(), "a whole number"


def test_evaluated_cases_make_group_tables(tmp_path: Path, model_folder: Path) -> None:
    cases = [prepare(tmp_path, name) for name in ("01", "02", "03", "04")]
    fit_baselines(cases[:2], CARD.inputs, CARD.scaling).save(model_folder)
    for case, split in zip(cases, ("train", "train", "test", "test"), strict=True):
        write_synthetic(case, tmp_path, int(case.participant))
        evaluate_case(case, model_folder, tmp_path, 2.0, split)
    tables = group_tables(tmp_path)
    assert len(tables.metrics) == 4 * (6 + 1) * 6
    assert tables.metrics["method"].unique().tolist() == ["pix2pix", *BASELINES]
    of_slices = tables.summary[tables.summary["metric"] != "baseline_sd_percent"]
    assert len(of_slices) == (6 + 1) * len(METRICS)
    assert (tables.summary["n_subjects"] == 2).all()
    assert set(tables.ttests["method_b"]) == set(BASELINES)


@pytest.mark.parametrize("scaling", ["slice", "volume"])
def test_regions_and_volumes_are_rated_beside_the_slices(tmp_path: Path, model_folder: Path, scaling: Scaling) -> None:
    write_json(model_folder / CARD_FILE, dataclasses.asdict(dataclasses.replace(CARD, scaling=scaling)))
    case = with_spect_mask(prepare(tmp_path, "03", "x"))
    baselines = fit_baselines([prepare(tmp_path, "01")], CARD.inputs, scaling)
    baselines.save(model_folder)
    write_synthetic(case, tmp_path)
    path = evaluate_case(case, model_folder, tmp_path, 2.0, "test")
    paths = case_tables(tmp_path, case, CARD.label)
    assert paths == [
        path,
        *(path.with_name(path.name.replace("_metrics", f"_{name}")) for name in ("regions", "volume")),
    ]
    regions, volumes = (pd.read_csv(one, sep="\t", keep_default_na=False) for one in paths[1:])
    assert list(volumes.columns) == list(VOLUME_DICTIONARY)
    # Slices that were scaled one by one make no volume.
    methods = ["pix2pix", *BASELINES] if scaling == "volume" else ["pix2pix"]
    assert volumes["method"].tolist() == regions["method"].unique().tolist() == methods
    assert set(regions["template"]) == {"MNI"}
    # The network's image in its units, against the SPECT in its own, where it was measured.
    rated = brain() & measured()
    made = np.asarray(nib.load(synthetic_path(tmp_path, case, CARD.label)).dataobj)[rated]
    real = np.asarray(nib.load(case.images["interictal"]).dataobj)[rated]
    error = made / made.mean() - real / real.mean()
    assert float(volumes["volume_rmse"].iloc[0]) == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-4)
    assert volumes["rated_voxels"].unique().tolist() == [rated.sum()]
    if scaling == "volume":
        output = predict(baselines, case)["petCopy"][rated] + 1
        found = float(volumes["volume_correlation"][volumes["method"] == "petCopy"].iloc[0])
        assert found == pytest.approx(np.corrcoef(output, real)[0, 1], abs=1e-4)


def test_nothing_to_compare_is_said_in_one_line(tmp_path: Path, model_folder: Path) -> None:
    case = prepare(tmp_path, "03")
    with pytest.raises(ImageError, match="_spect"):
        evaluate_case(case, model_folder, tmp_path, 2.0, "test")
    no_spect = dataclasses.replace(case, images={"T1w": case.images["T1w"]})
    with pytest.raises(ImageError, match="sub-03: no interictal SPECT"):
        evaluate_case(no_spect, model_folder, tmp_path, 2.0, "test")
    with pytest.raises(ModelError):
        evaluate_case(case, tmp_path / "nowhere", tmp_path, 2.0, "test")


def test_synthetic_image_on_another_grid_is_refused(tmp_path: Path, model_folder: Path) -> None:
    case = prepare(tmp_path, "03")
    write_synthetic(case, tmp_path)
    path = synthetic_path(tmp_path, case, CARD.label)
    scales = json.loads(path.with_name(path.name.replace(".nii.gz", ".json")).read_text())
    write_image(path, nib.Nifti1Image(np.ones((8, 9, SHAPE[2]), dtype=np.float32), AFFINE), scales)
    with pytest.raises(ImageError, match="the real SPECT has"):
        evaluate_case(case, model_folder, tmp_path, 2.0, "test")


def test_baselines_of_several_networks_are_averaged(tmp_path: Path, model_folder: Path) -> None:
    case = with_spect_mask(prepare(tmp_path, "03"))
    write_synthetic(case, tmp_path)
    other = model_folder.with_name("other")
    other.mkdir()
    folders = {model_folder: "01", other: "02"}
    fitted = [fit_baselines([prepare(tmp_path, label)], CARD.inputs, "slice") for label in folders.values()]
    for folder, baselines in zip(folders, fitted, strict=True):
        baselines.save(folder)
    path = evaluate_case(case, model_folder, tmp_path, 2.0, "test", further_folders=[other])
    table = pd.read_csv(path, sep="\t")
    images = [predict(baselines, case)["regression"] for baselines in fitted]
    assert not np.allclose(*images)
    real = load_case(case, ("T1w",), "slice").target
    wanted = slice_metrics(real, np.mean(images, axis=0), brain() & measured(), 2.0)
    found = table[table["method"] == "regression"].reset_index()[wanted.columns]
    np.testing.assert_allclose(found.astype(float), wanted, rtol=1e-4)
