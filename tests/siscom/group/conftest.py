"""Small output folders of SISCOM: tables and sidecars alone, or with images too."""

import json
import math
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bids_spectsynth.bids.writing import write_image, write_json, write_table
from bids_spectsynth.images.grid import new_image
from bids_spectsynth.siscom.concordance import CONCORDANCE_DICTIONARY
from bids_spectsynth.siscom.outputs.columns import CLUSTERS_DICTIONARY, clusters_table
from bids_spectsynth.siscom.outputs.paths import clusters_path, concordance_path, map_path
from bids_spectsynth.siscom.records import Focus, Names, Sign

LEFT, RIGHT = (-40.0, 0.0, 0.0), (40.0, 0.0, 0.0)


def focus(
    rank: int = 1,
    at: tuple[float, float, float] = LEFT,
    lobe: str = "temporal",
    *,
    p: float = 0.01,
    sign: Sign = "hyper",
    side: str = "",
    flags: tuple[str, ...] = (),
) -> Focus:
    """A focus whose side is that of its place."""
    side = side or ("L" if at[0] < -2 else "R" if at[0] > 2 else "M")
    return Focus(
        rank=rank, sign=sign, peak_mm=at, centroid_mm=at, volume_ml=3.5, z_max=3.25, znull_max=4.5,
        zcohort_max=math.nan, percent_max=22.0, percent_mean=15.0, p_corrected=p, edge_mm=12.0,
        names=Names(side=side, lobe=lobe, region="amygdala"), flags=flags,
    )  # fmt: skip


def concordance_row(a: str, b: str, verdict: str, **more: Any) -> dict[str, Any]:
    """A row of a concordance table."""
    values = {"distance_mm": 5.0, "side_a": "L", "side_b": "L", "lobe_a": "temporal", "lobe_b": "temporal"}
    return {"baseline_a": a, "baseline_b": b, **values, "verdict": verdict, **more}


@pytest.fixture
def add_result(tmp_path: Path) -> Callable[..., Path]:
    """Write the table of foci and the sidecar of one ictal scan and baseline; returns the path of the scan."""

    def add(
        participant: str, label: str, foci: Sequence[Focus], *, run: int | None = None, ses: str = "", **facts: Any
    ) -> Path:
        folder = tmp_path / "out" / f"sub-{participant}" / (f"ses-{ses}" if ses else "") / "spect"
        session, number = f"_ses-{ses}" if ses else "", f"_run-{run}" if run else ""
        scan = folder / f"sub-{participant}{session}_task-ictal{number}_space-T1w_desc-preproc_spect.nii.gz"
        write_table(clusters_path(scan, label), clusters_table(foci, 2.0), CLUSTERS_DICTIONARY)
        image = map_path(scan, label, "difference")
        image.touch()
        kinds = {"Real": "real", "Pet": "pet"}
        seen = facts.pop("seen", False)
        baseline = {"Kind": kinds.get(label, "synthetic"), "Label": label, "SeenInTraining": seen}
        content = {"Baseline": baseline, "StandardDeviationPercent": 5.0, **facts}
        write_json(image.with_name(image.name.replace(".nii.gz", ".json")), content)
        return scan

    return add


@pytest.fixture
def add_concordance() -> Callable[..., None]:
    """Write the concordance table of an ictal scan from its rows."""

    def add(scan: Path, *rows: dict[str, Any]) -> None:
        frame = pd.DataFrame(rows, columns=list(CONCORDANCE_DICTIONARY))
        write_table(concordance_path(scan), frame, CONCORDANCE_DICTIONARY)

    return add


SHAPE = (10, 12, 9)
AFFINE = np.diag([16.0, 16.0, 16.0, 1.0])
AFFINE[:3, 3] = -72, -88, -64


@pytest.fixture
def add_images() -> Callable[[Path, str], None]:
    """Write the T1w, its mask and the maps of a scan of :func:`add_result`."""

    def add(scan: Path, label: str) -> None:
        rng = np.random.default_rng(zlib.crc32(f"{scan.name}{label}".encode()))
        subject = next(parent for parent in scan.parents if parent.name.startswith("sub-"))
        mask = np.zeros(SHAPE, dtype=np.float32)
        mask[1:-1, 1:-1, 1:-1] = 1
        z = (mask * rng.normal(size=SHAPE) * 2).astype(np.float32)
        t1w = rng.uniform(1, 9, SHAPE).astype(np.float32)
        anat = subject / "anat" / f"{subject.name}_space-T1w_desc"
        content = {
            anat.with_name(f"{anat.name}-preproc_T1w.nii.gz"): t1w,
            anat.with_name(f"{anat.name}-brain_mask.nii.gz"): mask,
            scan: z,
            map_path(scan, label, "difference"): z * 5,
            map_path(scan, label, "z"): z,
        }
        for path, values in content.items():
            known = path.with_name(path.name.replace(".nii.gz", ".json"))
            facts = json.loads(known.read_text()) if known.exists() else {}
            write_image(path, new_image(values, AFFINE), facts)

    return add
