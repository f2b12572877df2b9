from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from bids_spectsynth.siscom.records import BaselineImage
from bids_spectsynth.siscom.subtraction import route
from bids_spectsynth.siscom.subtraction.route import DIRECT, THROUGH_T1W, IctalScan, choose_route

MASK = np.ones((4, 4, 4), dtype=bool)
BASELINE = BaselineImage(kind="real", label="Real", values=MASK.astype(np.float32), mask=MASK)
ICTAL = IctalScan(image=nib.Nifti1Image(MASK.astype(np.float32), np.eye(4)), matrix=np.eye(4), mask=MASK)


def shifted(mm: float) -> np.ndarray:
    matrix = np.eye(4)
    matrix[0, 3] = mm
    return matrix


@pytest.mark.parametrize(
    ("mm", "before", "after", "name"),
    [(1.0, 5.0, 4.0, DIRECT), (1.0, 5.0, 5.05, DIRECT), (1.0, 5.0, 5.2, THROUGH_T1W), (7.0, 5.0, 4.0, THROUGH_T1W)],
)
def test_choose_route__direct_unless_it_fits_worse_or_lies_far_away(
    monkeypatch: pytest.MonkeyPatch, mm: float, before: float, after: float, name: str
) -> None:
    found: Any = SimpleNamespace(matrix=shifted(mm), residual_percent=after, start_residual_percent=before)
    monkeypatch.setattr(route, "align", lambda *arguments: found)
    chosen = choose_route(ICTAL, BASELINE, MASK, np.eye(4))
    assert (chosen.name, chosen.mean_mm, chosen.largest_mm) == (name, mm, mm)
    own, other = (after, before) if name == DIRECT else (before, after)
    assert (chosen.residual_percent, chosen.other_residual_percent) == (own, other)
    assert chosen.matrix[0, 3] == (mm if name == DIRECT else 0)
    assert bool(chosen.note) == (name == THROUGH_T1W)
