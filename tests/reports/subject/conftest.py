"""Files of a SISCOM as the participant level leaves them, beside the small output folder of the reports' tests."""

from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from bids_spectsynth.bids.writing import write_image, write_table
from bids_spectsynth.siscom.outputs.columns import CLUSTERS_DICTIONARY, clusters_table
from bids_spectsynth.siscom.outputs.paths import clusters_path, concordance_path, map_path
from bids_spectsynth.siscom.records import Focus, Names


def siscom_sidecar(kind: str, label: str, **more: object) -> dict[str, object]:
    """Sidecar of a difference map of a SISCOM."""
    return {
        "Baseline": {"Kind": kind, "Label": label, "Model": "pix2pixPet" if kind == "synthetic" else ""},
        "LevelUsed": "mode",
        "Levels": {"mode": 1.042, "mean": 1.061, "median": 1.047, "unchanged": 1.05, "cerebellum": None},
        "ResolutionFWHM": {"Ictal": 9.13, "Baseline": 11.42},
        "MatchingFWHM": {"Ictal": 6.86, "Baseline": 0.0},
        "SmoothingFWHM": 12.0,
        "Threshold": 2.0,
        "MinimumVolume": 1.0,
        "StandardDeviationPercent": 4.87,
        "Route": {
            "Name": "direct",
            "MeanMillimetres": 0.412,
            "LargestMillimetres": 0.871,
            "ResidualPercent": 6.11,
            "OtherResidualPercent": 6.52,
        },
        "Null": {"Simulations": 400, "MedianLargestClusterVolume": 3.21},
        "HemisphericIndex": 0.12,
        "HypoperfusionShare": 0.31,
        "HemisphereOfDecreases": "L",
        "PostictalPattern": False,
        "InjectionLatency": 25.0,
        "InjectionShareOfSeizure": 0.31,
        "RegionNames": "CerebrA",
        **({"Synthetic": True} if kind == "synthetic" else {}),
        **more,
    }


def write_siscom(ictal: Path, kind: str, label: str, foci: int = 2, **more: object) -> None:
    """Maps and foci of one ictal scan: increases on the right, a decrease on the left behind, in this order."""
    facts = siscom_sidecar(kind, label, **more)
    image = nib.load(ictal)
    affine, inside = image.affine, image.get_fdata() > 0
    found, z = [], np.zeros(inside.shape)
    axes = (affine[n, n] * np.arange(inside.shape[n]) + affine[n, 3] for n in range(3))
    where = np.stack(np.meshgrid(*axes, indexing="ij"))
    for number in range(foci):
        sign = "hypo" if number == 1 else "hyper"
        peak = (-34.0, -46.0, 6.0) if number == 1 else (42.0, 2.0, -18.0 + 4 * number)
        height = (5.4 - 0.2 * number) * (-1 if number == 1 else 1)
        away = ((where - np.reshape(peak, (3, 1, 1, 1))) ** 2).sum(axis=0)
        z += height * np.exp(-away / 2 / (14 if number == 1 else 20) ** 2)
        names = Names(side="L" if number == 1 else "R", lobe="temporal", region="Amygdala <b>", distance_mm=2.0)
        values = {"z_max": height, "znull_max": 1.2 * height, "zcohort_max": float("nan"), "percent_max": 5 * height}
        found.append(
            Focus(
                rank=number + 1,
                sign=sign,
                peak_mm=peak,
                centroid_mm=peak,
                volume_ml=20.4 - number,
                percent_mean=3.1 * height,
                p_corrected=(1 + 30 * number) / 401,
                edge_mm=7.0,
                names=names,
                budget={"registration": 1.1, "noise": 2.3, "variation": 2.9, "resolution": 0.4},
                flags=("edge", "within-null") if number else (),
                **values,
            )
        )
    z = np.where(inside, z, 0).astype(np.float32)
    for statistic, values in (("difference", 5 * z), ("z", z), ("znull", 1.2 * z)):
        write_image(map_path(ictal, label, statistic), nib.Nifti1Image(values, affine), facts)
    write_table(clusters_path(ictal, label), clusters_table(found, 3.2), CLUSTERS_DICTIONARY)


def write_concordance(ictal: Path) -> None:
    """How two baselines agree; the columns are those of whoever writes it."""
    row = {"baseline_a": "Real", "baseline_b": "Pix2pixPet", "dice": 0.441234, "verdict": "same <i>focus</i>"}
    dictionary = {name: {"Description": f"Meaning of {name}."} for name in row}
    write_table(concordance_path(ictal), pd.DataFrame([row]), dictionary)


@pytest.fixture(scope="session")
def sidecar_of():
    """The function :func:`siscom_sidecar`."""
    return siscom_sidecar


@pytest.fixture
def siscom(tree: Path, write: SimpleNamespace) -> SimpleNamespace:
    """A tree whose participant has an ictal scan in another session, against two baselines; with its writers."""
    write.ictal(tree, "01", "2", {}, case="sub-01")
    ictal = tree / "sub-01/ses-2/spect/sub-01_ses-2_task-ictal_space-T1w_desc-preproc_spect.nii.gz"
    write_siscom(ictal, "synthetic", "Pix2pixPet")
    write_siscom(ictal, "real", "Real")
    write_concordance(ictal)
    return SimpleNamespace(tree=tree, ictal=ictal, write=write_siscom)
