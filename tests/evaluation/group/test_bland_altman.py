import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bids_spectsynth.bids.output_files import find_ratings
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.table_records import CHECKSUM, ROWS
from bids_spectsynth.bids.writing import write_table
from bids_spectsynth.errors import DatasetError
from bids_spectsynth.evaluation.case.region_columns import AGREEMENT_DICTIONARY, REGIONS_DICTIONARY, VOLUME_DICTIONARY
from bids_spectsynth.evaluation.case.region_tables import write_case_tables
from bids_spectsynth.evaluation.case.regions import HEMISPHERE
from bids_spectsynth.evaluation.figures.bland_altman import agreement_drawing, write_agreement_figures
from bids_spectsynth.evaluation.figures.style import svg_text
from bids_spectsynth.evaluation.group.bland_altman import (
    ALL_REGIONS,
    AgreementTables,
    group_agreement,
    held_out,
    rate_agreement,
    write_agreement_tables,
)
from bids_spectsynth.evaluation.statistics.bland_altman import (
    concordance,
    grouped_correlation,
    limits_of_agreement,
    mean_correlation,
)
from bids_spectsynth.reports.group.bland_altman import agreement_section
from bids_spectsynth.reports.html import Page, Picture, Section, Table
from bids_spectsynth.reports.rendering import render

SHAPE = (28, 36, 28)
AFFINE = np.diag([6.0, 6.0, 6.0, 1.0])
AFFINE[:3, 3] = (-81, -120, -75)
MODELS = ("pix2pixPet", "pix2pixT1w")


def brain() -> np.ndarray:
    x, y, z = np.indices(SHAPE) * 6.0 + AFFINE[:3, 3][:, None, None, None]
    return (x / 68) ** 2 + ((y + 17) / 84) ** 2 + ((z - 2) / 66) ** 2 < 1


def images(participant: int, share: float) -> tuple[np.ndarray, np.ndarray]:
    """A real volume, and a synthetic one in other units that has a share of what is the participant's own."""
    # Voxels of one block of the lattice share a value.
    pattern = np.kron(np.random.default_rng(0).uniform(0.7, 1.3, (7, 9, 7)), np.ones((4, 4, 4)))
    own = np.zeros(SHAPE)
    # Each participant has one hemisphere brighter and one lobe darker.
    own[SHAPE[0] // 2 if participant % 2 else 0 :][: SHAPE[0] // 2] += 0.1 + 0.02 * participant
    own[:, : 6 + participant] -= 0.3
    real = np.where(brain(), 40 * (pattern + own), 0)
    synthetic = np.where(brain(), 7 * (pattern + share * own), 0)
    return real.astype(np.float32), synthetic.astype(np.float32)


def write_case(out: Path, participant: int, model: str, share: float, split: str = "test") -> None:
    case = PreparedCase(f"{participant:02d}", None, "MNI", {}, {}, None, "MNI")
    real, synthetic = images(participant, share)
    volumes = {"pix2pix": synthetic}
    if model == MODELS[0]:
        volumes |= {"meanSpect": images(participant, 0)[1], "petCopy": np.zeros(SHAPE, dtype=np.float32)}
    identity = {
        "participant_id": f"sub-{participant:02d}",
        "session_id": "n/a",
        "model": model,
        "configuration": model,
        "seed": 1,
        "inputs": "pet",
        "space": "MNI",
        "scaling": "volume",
        "losses": "L1",
        "recipe": "custom",
        "split": split,
    }
    write_case_tables(out, case, model, identity, volumes, real, brain(), AFFINE)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five held-out participants and a training one; the first model copies all of the real image, the second half."""
    out = tmp_path_factory.mktemp("out")
    for participant in range(1, 7):
        for model, share in zip(MODELS, (1.0, 0.5), strict=True):
            write_case(out, participant, model, share, "train" if participant == 6 else "test")
    return out


@pytest.fixture(scope="module")
def tables(cohort: Path) -> AgreementTables:
    return group_agreement(cohort)


def row(tables: AgreementTables, model: str, method: str, measure: str, region: str = ALL_REGIONS) -> pd.Series:
    chosen = tables.agreement
    for name, value in (("model", model), ("method", method), ("measure", measure), ("region", region)):
        chosen = chosen[chosen[name] == value]
    return chosen.iloc[0]


def test_case_tables_are_named_described_and_found(cohort: Path) -> None:
    regions, volumes = find_ratings(cohort, "regions"), find_ratings(cohort, "volume")
    assert len(regions) == len(volumes) == 12
    stem = "sub-01/spect/sub-01_task-interictal_space-MNI_desc-pix2pixPet"
    assert regions[0] == cohort / f"{stem}_regions.tsv"
    assert volumes[0] == cohort / f"{stem}_volume.tsv"
    for path, dictionary in ((regions[0], REGIONS_DICTIONARY), (volumes[0], VOLUME_DICTIONARY)):
        table = pd.read_csv(path, sep="\t", keep_default_na=False)
        assert list(table.columns) == list(dictionary)
        assert list(json.loads(path.with_suffix(".json").read_text())) == [ROWS, CHECKSUM, *dictionary]
        assert set(table["method"]) == {"pix2pix", "meanSpect"}, "a volume without signal cannot be rated"


def test_a_copy_agrees_and_half_a_copy_is_half_as_asymmetric(tables: AgreementTables) -> None:
    rows = tables.regions[tables.regions["model"] == MODELS[0]]
    copies = rows[rows["method"] == "pix2pix"]
    np.testing.assert_allclose(copies["real"], copies["synthetic"], rtol=1e-5)
    np.testing.assert_allclose(copies["asymmetry_real"], copies["asymmetry_synthetic"], atol=1e-3)
    weights = copies[copies["region"] == HEMISPHERE]
    means = (weights["real"] * weights["voxels"]).groupby(weights["participant_id"]).sum()
    np.testing.assert_allclose(means, brain().sum(), rtol=1e-5)
    volumes = tables.volumes.set_index(["model", "method"])
    assert volumes.loc[(MODELS[0], "pix2pix"), "volume_rmse"].max() < 1e-5
    np.testing.assert_allclose(volumes.loc[(MODELS[0], "pix2pix"), "through_slice_ratio"], 1, rtol=1e-5)
    half = volumes.loc[(MODELS[1], "pix2pix")]
    ratio = half["hemisphere_asymmetry_synthetic"] / half["hemisphere_asymmetry_real"]
    assert ratio.between(0.3, 0.7).all()
    assert (half["asymmetry_error"] > 1).all()
    # The brighter side alternates.
    assert (np.sign(half["hemisphere_asymmetry_real"]) == [-1, 1, -1, 1, -1, 1]).all()


def test_residuals_of_regions_are_means_over_held_out_participants(tables: AgreementTables) -> None:
    names = ["baseline_variance_share", "baseline_residual_percent"]
    keys = ["region", "hemisphere"]
    rows = tables.regions[(tables.regions["model"] == MODELS[1]) & (tables.regions["split"] == "test")]
    found = tables.agreement[(tables.agreement["model"] == MODELS[1])].set_index([*keys, "measure"])[names]
    for place, own in rows.groupby(keys):
        np.testing.assert_allclose(found.loc[(*place, "uptake")], own[names].mean())
    assert found.loc[(ALL_REGIONS, "n/a", "uptake")].isna().all()
    assert found.xs("asymmetry", level="measure").isna().all(axis=None)
    halves = rows[rows["region"] == HEMISPHERE].groupby("participant_id")["baseline_variance_share"].sum()
    np.testing.assert_allclose(halves, 100)
    # What only half of the image has is missing where the participant's own is bright.
    assert rows["baseline_residual_percent"].max() > 1
    assert rows["baseline_residual_percent"].min() < -1


def test_agreement_of_held_out_participants_alone(tables: AgreementTables) -> None:
    assert set(tables.regions["split"]) == {"test", "train"}
    assert list(tables.agreement.columns) == list(AGREEMENT_DICTIONARY)
    assert set(tables.agreement["split"]) == {"test"}
    assert (tables.agreement["n_subjects"] == 5).all()
    copy = row(tables, MODELS[0], "pix2pix", "uptake")
    assert copy[["bias", "sd_total", "mean_absolute"]].abs().max() < 1e-5
    assert copy[["ccc", "r_within", "r_within_mean", "r_individual"]].min() > 0.9999
    blocks = tables.regions[(tables.regions["region"] != HEMISPHERE) & (tables.regions["split"] == "test")]
    one = blocks[(blocks["model"] == MODELS[0]) & (blocks["method"] == "pix2pix")]
    assert copy["n_values"] == len(one)
    assert copy["n_regions"] == len(one[["region", "hemisphere"]].drop_duplicates())


def plain_places(rows: pd.DataFrame, measure: str) -> dict[tuple[str, str], pd.DataFrame]:
    """Rows of all blocks, and of each region and side, by name, with the pair of values in ``x`` and ``y``."""
    names = ("real", "synthetic") if measure == "uptake" else ("asymmetry_real", "asymmetry_synthetic")
    if measure == "asymmetry":
        rows = rows[rows["hemisphere"] == "L"]
    rows = rows.assign(x=rows[names[0]], y=rows[names[1]]).dropna(subset=["x", "y"])
    found = {(ALL_REGIONS, "n/a"): rows[rows["region"] != HEMISPHERE]}
    for region in rows["region"].unique():
        for side in rows["hemisphere"].unique():
            own = rows[(rows["region"] == region) & (rows["hemisphere"] == side)]
            found[region, side if measure == "uptake" else "n/a"] = own
    return {place: own for place, own in found.items() if len(own)}


@pytest.mark.parametrize("measure", ["uptake", "asymmetry"])
@pytest.mark.parametrize("model", MODELS)
def test_every_region_is_rated_as_if_it_were_alone(tables: AgreementTables, model: str, measure: str) -> None:
    rows = held_out(tables.regions)
    rows = rows[(rows["model"] == model) & (rows["method"] == "pix2pix")]
    # One participant lacks a region: labels of the others must not move.
    gone = (rows["participant_id"] == "sub-02") & (rows["region"] == rows["region"].iloc[0])
    agreement = rate_agreement(rows[~gone])
    agreement = agreement[agreement["measure"] == measure].set_index(["region", "hemisphere"])
    expected = plain_places(rows[~gone], measure)
    assert set(agreement.index) == set(expected)
    for place, own in expected.items():
        x, y, people = own["x"].to_numpy(), own["y"].to_numpy(), own["participant_id"].to_numpy(dtype=str)
        found, limits, ccc = agreement.loc[place], limits_of_agreement(y - x, people), concordance(x, y, people)
        assert (found["n_values"], found["n_subjects"]) == (len(own), own["participant_id"].nunique())
        assert found["n_regions"] == len(own[["region", "hemisphere"]].drop_duplicates())
        places = (own["region"] + " " + own["hemisphere"]).to_numpy(dtype=str)
        plain = {
            "bias": limits.bias.value,
            "loa_upper_high": limits.upper.high,
            "sd_within": limits.sd_within,
            "r_within": grouped_correlation(x, y, people),
            "r_within_mean": mean_correlation(x, y, people).value,
            "r_individual": grouped_correlation(x, y, places),
            "ccc": ccc.value,
            "ccc_low": ccc.low,
        }
        np.testing.assert_array_equal(found[list(plain)].tolist(), list(plain.values()))


def test_a_mean_image_meets_the_pattern_and_nobody(tables: AgreementTables) -> None:
    half, mean = (row(tables, *names, "uptake") for names in ((MODELS[1], "pix2pix"), (MODELS[0], "meanSpect")))
    assert mean["r_within"] > 0.3
    assert np.isnan(mean["r_individual"])
    assert half["r_individual"] > 0.9
    assert mean["sd_total"] > half["sd_total"] > 0
    assert half["loa_lower_low"] < half["loa_lower"] < half["loa_lower_high"] < half["loa_upper_low"]


def test_agreement_of_asymmetry(tables: AgreementTables) -> None:
    pairs = row(tables, MODELS[1], "pix2pix", "asymmetry")
    rows = held_out(tables.regions)
    own = rows[(rows["model"] == MODELS[1]) & (rows["hemisphere"] == "L") & (rows["region"] != HEMISPHERE)]
    marked = own["asymmetry_real"].abs() > 5
    assert pairs["n_values"] == len(own)
    assert pairs["n_marked"] == marked.sum() > 0
    same = np.sign(own["asymmetry_real"]) == np.sign(own["asymmetry_synthetic"])
    assert pairs["sign_agreement"] == pytest.approx(same[marked].mean())
    error = (own["asymmetry_synthetic"] - own["asymmetry_real"]).abs().groupby(own["participant_id"]).mean()
    assert pairs["mean_absolute"] == pytest.approx(error.mean())
    halves = row(tables, MODELS[1], "pix2pix", "asymmetry", HEMISPHERE)
    assert (halves["n_regions"], halves["n_values"], halves["hemisphere"]) == (1, 5, "n/a")


def test_group_tables_are_written_and_described(cohort: Path, tables: AgreementTables, tmp_path: Path) -> None:
    paths = write_agreement_tables(tables, tmp_path)
    assert [path.name for path in paths] == ["group_regions.tsv", "group_agreement.tsv", "group_volumes.tsv"]
    for path in paths:
        table = pd.read_csv(path, sep="\t")
        assert list(json.loads(path.with_suffix(".json").read_text())) == list(table.columns)
    assert len(pd.read_csv(paths[0], sep="\t")) == sum(
        len(pd.read_csv(p, sep="\t")) for p in find_ratings(cohort, "regions")
    )


def test_a_damaged_table_is_named(tmp_path: Path) -> None:
    write_case(tmp_path, 1, MODELS[1], 0.5)
    path = find_ratings(tmp_path, "volume")[0]
    path.write_text(path.read_text().replace("volume_rmse", "rmse"))
    path.with_suffix(".json").unlink()
    with pytest.raises(DatasetError, match=r"_volume\.tsv: not a table of volume measures .*evaluate again"):
        group_agreement(tmp_path)


def test_nothing_rated_gives_tables_without_rows(tmp_path: Path) -> None:
    tables = group_agreement(tmp_path)
    write_agreement_tables(tables, tmp_path)
    assert len(tables.regions) == len(tables.agreement) == len(tables.volumes) == 0
    assert write_agreement_figures(tables, tmp_path) == []
    section = agreement_section(tmp_path)
    assert section is not None
    assert "No held-out participant" in render(Page("", "", [section]))


def test_one_subject_and_cases_without_blocks_do_not_stop_the_group(tmp_path: Path) -> None:
    write_case(tmp_path, 1, MODELS[1], 0.5)
    path = find_ratings(tmp_path, "regions")[0]
    table = pd.read_csv(path, sep="\t", keep_default_na=False)
    halves = table[table["region"] == HEMISPHERE]
    write_table(path, halves, REGIONS_DICTIONARY)
    tables = group_agreement(tmp_path)
    assert set(tables.agreement["region"]) == {HEMISPHERE}
    assert tables.agreement["loa_lower"].isna().all()
    write_agreement_tables(tables, tmp_path)
    section = agreement_section(tmp_path)
    assert section is not None
    assert render(Page("", "", [section]))
    assert write_agreement_figures(tables, tmp_path) == []


def test_figures_of_every_model(tables: AgreementTables, tmp_path: Path) -> None:
    stale = tmp_path / "figures" / "group_agreement_gone.svg"
    stale.parent.mkdir()
    stale.write_text("")
    other = stale.with_name("group_rmse.svg")
    other.write_text("")
    paths = write_agreement_figures(tables, tmp_path)
    assert [path.name for path in paths] == [f"group_agreement_{model}.svg" for model in MODELS]
    assert {path.name for path in stale.parent.iterdir()} == {
        "group_rmse.svg", *(f"group_agreement_{model}{end}" for model in MODELS for end in (".svg", ".png"))
    }  # fmt: skip


def test_a_figure_says_whom_and_what_it_shows(tables: AgreementTables) -> None:
    rows = held_out(tables.regions)
    blocks = rows[(rows["model"] == MODELS[1]) & (rows["region"] != HEMISPHERE)]
    drawing = agreement_drawing(blocks, MODELS[1])
    svg = svg_text(drawing)
    assert svg == svg_text(agreement_drawing(blocks, MODELS[1]))
    for text in (
        "pix2pixT1w: 5 subjects (test)",
        f"{len(blocks)} values",
        f"{len(blocks) // 2} pairs of blocks",
        "Synthetic - real (in-brain mean = 1)",
        "Asymmetry index of the synthetic SPECT (%)",
        "upper limit +",
        "lower limit -",
    ):
        assert text in svg


def test_the_report_shows_tables_and_figures(tables: AgreementTables, tmp_path: Path) -> None:
    assert agreement_section(tmp_path) is None
    write_agreement_tables(tables, tmp_path)
    write_agreement_figures(tables, tmp_path)
    section = agreement_section(tmp_path)
    assert isinstance(section, Section)
    shown = [block for block in section.blocks if isinstance(block, Table)]
    assert len(shown) == 5
    volume, uptake, pairs, halves, residual = shown
    assert [cell.text for cell in volume.rows[0][:3]] == [MODELS[0], "test", "Model (pix2pix)"]
    assert len(volume.rows) == len(uptake.rows) == 3
    labels = [column.label for column in uptake.columns]
    copy = row(tables, MODELS[0], "pix2pix", "uptake")
    entries = dict(zip(labels, (cell.text for cell in uptake.rows[0]), strict=True))
    assert (entries["Subjects"], entries["Blocks"], entries["Values"]) == (
        "5", str(copy["n_regions"]), str(copy["n_values"])
    )  # fmt: skip
    assert "Same side" in [column.label for column in pairs.columns]
    assert halves.caption.startswith("Asymmetry index of the two hemispheres")
    # A copy leaves no residual; of the other model the largest shares come first.
    assert {entry[0].text for entry in residual.rows} == {MODELS[1]}
    shares = [float(entry[4].text) for entry in residual.rows]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 5
    assert all(column.help for column in uptake.columns if column.numeric)
    assert sum(isinstance(block, Picture) for block in section.blocks) == 2


def test_slices_and_subjects_stand_beside_the_volumes(tables: AgreementTables, tmp_path: Path) -> None:
    write_agreement_tables(tables, tmp_path)
    section = agreement_section(tmp_path)
    assert section is not None
    volume = next(block for block in section.blocks if isinstance(block, Table))
    entries = dict(zip((column.label for column in volume.columns), volume.rows[0], strict=True))
    assert entries["Subjects"].text == "5"
    assert entries["Slices"].text == str(5 * np.count_nonzero(brain().any(axis=(0, 1))))
    assert entries["Baseline SD (%)"].text == "0.00 ± 0.00"
    # A copy changes from slice to slice as the real image does.
    assert entries["Through-slice ratio"].tone == "good"
    assert entries["Through-slice ratio"].text == "1.00 ± 0.00\n1.00 to 1.00"
