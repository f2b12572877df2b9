"""Lesion masks through baselines, maps and errors: outside of a lesion nothing depends on the scans in it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bids_spectsynth.siscom.baselines import cohort as cohort_baseline
from bids_spectsynth.siscom.baselines.pet import PET
from bids_spectsynth.siscom.baselines.request import Request
from bids_spectsynth.siscom.baselines.residuals import residual_of
from bids_spectsynth.siscom.case import Siscom, _lesion_notes, subtract
from bids_spectsynth.siscom.comparable import Choices, residual_difference
from bids_spectsynth.siscom.records import BaselineImage, BaselineKind
from bids_spectsynth.siscom.subtraction.route import AGREE_MM, DIRECT
from tests.siscom.baselines.conftest import MakeRequest, changed
from tests.siscom.baselines.conftest import make_request as make_request
from tests.siscom.test_case import (
    AFFINE,
    BRAIN,
    LEFT,
    POINTS,
    SHAPE,
    T1W,
    ictal_scan,
    noisy,
    real,
    rigid,
    run,
    seizure,
    spot,
)
from tests.synthesis.baselines.conftest import save

pytestmark = pytest.mark.usefixtures("few_simulations")
LESION = spot((30.0, -10.0, 24.0), 22) & BRAIN
TURNED = rigid((2, -1, 1), (3, 2, -4))


def statistics(found: Siscom, lesion: np.ndarray = LESION) -> dict[str, Any]:
    """All that a lesion's values must leave as it is."""
    maps, outside = found.maps, ~lesion
    return {
        "levels": repr(found.levels),
        "resolution": (found.fwhm_ictal, found.fwhm_baseline),
        "route": found.route.matrix.tolist(),
        "deviation": maps.sd_percent,
        "null": found.null.standard_deviation.tobytes(),
        "null by cause": [part.tobytes() for part in found.null.parts.values()],
        "extents": found.null.extents.tobytes(),
        "masses": found.null.masses.tobytes(),
        "heights": found.null.heights.tobytes(),
        **{name: getattr(maps, name)[outside].tobytes() for name in ("difference", "z", "znull")},
        "foci elsewhere": [repr(replace(one, rank=0)) for one in found.foci if "lesion" not in one.flags],
    }


def under(*matrices: np.ndarray, lesion: np.ndarray = LESION) -> np.ndarray:
    """The scan's own voxels whose centres lie in the lesion, by any of these ways."""
    found = np.zeros(SHAPE, dtype=bool)
    for matrix in matrices:
        back = (np.linalg.inv(AFFINE) @ np.linalg.inv(matrix) @ AFFINE)[:3]
        index = np.rint(np.c_[np.indices(SHAPE).reshape(3, -1).T, np.ones(np.prod(SHAPE))] @ back.T).astype(int)
        there = np.all((index >= 0) & (index < SHAPE), axis=1)
        found.reshape(-1)[there] |= lesion[tuple(index[there].T)]
    return found


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["real", "synthetic", "pet"]),
    ictal=st.floats(0, 6),
    baseline=st.floats(0, 6),
    seed=st.integers(0, 99),
    matrix=st.sampled_from([np.eye(4), TURNED, rigid((0, 5, 0), (0, 0, 0)), rigid((0.5, -0.6, 0), (0.2, 0, -0.1))]),
    template=st.booleans(),
)
def test_subtract__level_null_and_maps_are_bit_for_bit_what_they_are_whatever_lies_in_the_lesion(
    kind: BaselineKind, ictal: float, baseline: float, seed: int, matrix: np.ndarray, template: bool
) -> None:
    wild = np.random.default_rng(seed).random(SHAPE)
    options = {"lesion": LESION, "to_template": np.eye(4) if template else None}
    scan = seizure()
    before = run(ictal_scan(scan, matrix), real(kind=kind), **options)
    # By the way that was taken; where that of the preparation is as good, by that as well.
    inside = under(before.route.matrix, *([matrix] if before.route.mean_mm <= AGREE_MM else []))
    after = run(
        ictal_scan(np.where(inside, ictal * wild * scan, scan), matrix),
        real(np.where(LESION, baseline * wild * noisy(2), noisy(2)), kind=kind),
        **options,
    )
    assert statistics(after) == statistics(before)


@pytest.mark.parametrize("centre", [(30.0, -10.0, 24.0), (52.0, -18.0, 20.0)])
def test_subtract__the_same_where_the_direct_way_leads_elsewhere_than_the_registration(
    centre: tuple[float, ...],
) -> None:
    off, lesion = rigid((0, 5, 0), (0, 0, 0)), spot(centre, 26)
    plain = run(ictal_scan(seizure(), off), lesion=lesion)
    assert plain.route.name == DIRECT
    assert plain.route.mean_mm > 3
    only_by_the_route = under(plain.route.matrix, lesion=lesion) & ~under(off, lesion=lesion)
    assert only_by_the_route.any()
    # What the registration takes for the lesion, and wrongly, is looked at.
    wrongly = under(off, lesion=lesion) & ~under(plain.route.matrix, lesion=lesion)
    elsewhere = run(ictal_scan(np.where(wrongly, 0, seizure()), off), lesion=lesion)
    assert statistics(elsewhere, lesion) != statistics(plain, lesion)
    for gain in (0, 3):
        changed_scan = np.where(only_by_the_route, gain * seizure(), seizure())
        found = run(ictal_scan(changed_scan, off), lesion=lesion)
        assert statistics(found, lesion) == statistics(plain, lesion)


def test_subtract__without_the_mask_a_cavity_moves_level_and_deviation() -> None:
    cut = np.where(LESION, np.float32(0), seizure())
    left_out, counted = run(ictal_scan(cut), lesion=LESION), run(ictal_scan(cut))
    whole = run(ictal_scan(seizure()), lesion=LESION)
    assert statistics(left_out) == statistics(whole)
    assert counted.maps.sd_percent > 1.5 * left_out.maps.sd_percent
    assert statistics(counted)["levels"] != statistics(whole)["levels"]


@pytest.mark.parametrize("by", ["ictal", "baseline", "brain"])
def test_subtract__a_focus_beside_a_cavity_that_a_mask_leaves_out_is_flagged(by: str) -> None:
    """The typical resection: the brain mask, or that of a scan, goes around the cavity."""
    cavity = spot((-30.0, -54.0, 20.0), 18) & BRAIN
    scan, baseline = ictal_scan(seizure()), real()
    if by == "ictal":
        scan = replace(scan, mask=BRAIN & ~cavity)
    if by == "baseline":
        baseline = replace(baseline, mask=BRAIN & ~cavity, values=np.where(cavity, 0, baseline.values))
    brain = BRAIN & ~cavity if by == "brain" else BRAIN

    def subtracted(lesion: np.ndarray | None) -> Siscom:
        return subtract(scan, baseline, T1W, brain, AFFINE, Choices(), lesion=lesion)

    left_out, plain, shown = subtracted(cavity), subtracted(None), run(ictal_scan(seizure()), lesion=cavity)
    first = left_out.foci[0]
    assert (first.sign, "lesion" in first.flags) == ("hyper", True)
    assert 0 < first.lesion_mm == shown.foci[0].lesion_mm < 30
    assert first.lesion_percent == 0
    assert any("Nothing of the lesion mask lies in the brain that both scans show" in one for one in left_out.notes)
    assert not any("was kept out" in one for one in left_out.notes)
    assert (left_out.lesion_ml, plain.lesion_ml) == (0, None)
    assert shown.lesion_ml == pytest.approx(np.count_nonzero(cavity) * 0.512)
    assert any(f"The lesion mask ({shown.lesion_ml:.1f} mL of the brain that" in one for one in shown.notes)
    # No statistic leaves anything out; the alignment, and what is interpolated at the cavity's edge, differ a little.
    np.testing.assert_array_equal(left_out.maps.mask, plain.maps.mask)
    np.testing.assert_array_equal(left_out.maps.reference, plain.maps.reference)
    assert left_out.maps.sd_percent == pytest.approx(plain.maps.sd_percent, rel=0.1)
    assert left_out.levels["mode"] == pytest.approx(plain.levels["mode"], rel=0.005)
    # What the ictal scan has there does not come out of it, either.
    wild = replace(scan, image=ictal_scan(np.where(cavity, 900, seizure())).image)
    soiled = subtract(wild, baseline, T1W, brain, AFFINE, Choices(), lesion=cavity)
    assert statistics(soiled, cavity) == statistics(left_out, cavity)


def test_subtract__a_lesion_that_reaches_out_of_the_brain_is_as_near_as_it_is() -> None:
    centre = np.array([-30.0, -22.0, 20.0])
    reaching = spot((-30.0, -22.0, 84.0), 44)
    outer = reaching & ~BRAIN
    assert reaching[..., -1].any(), "beyond the box of the brain"
    first = run(ictal_scan(seizure(tuple(centre))), lesion=outer).foci[0]
    where = POINTS[outer.ravel()]
    assert first.lesion_mm == pytest.approx(np.linalg.norm(where - first.peak_mm, axis=1).min(), abs=1e-3)
    assert run(ictal_scan(seizure()), lesion=reaching).maps.lesion is not None
    np.testing.assert_array_equal(run(ictal_scan(seizure()), lesion=reaching).maps.lesion, reaching)


def test_subtract__a_focus_in_or_beside_the_lesion_is_found_and_says_so() -> None:
    inside, beside, far = (
        run(ictal_scan(seizure()), lesion=mask & BRAIN)
        for mask in (spot(LEFT, 14), spot((-30.0, -54.0, 20.0), 18), spot((30.0, 20.0, 20.0), 14))
    )
    for found, flagged in ((inside, True), (beside, True), (far, False)):
        first = found.foci[0]
        assert (first.sign, first.peak_mm[0] < 0, "lesion" in first.flags) == ("hyper", True, flagged)
        assert any("kept out of alignment, level" in note for note in found.notes)
    assert inside.foci[0].lesion_percent > 30
    assert inside.foci[0].lesion_mm == 0
    assert 0 <= beside.foci[0].lesion_percent < 50
    assert far.foci[0].lesion_percent == 0
    assert far.foci[0].lesion_mm == pytest.approx(
        np.linalg.norm(np.subtract(far.foci[0].peak_mm, (30, 20, 20))) - 14, abs=8
    )
    # In it, the map is what the ordinary one is, at the level of the brain around.
    plain = run(ictal_scan(seizure()))
    where = inside.maps.mask & spot(LEFT, 14)
    np.testing.assert_allclose(inside.maps.difference[where], plain.maps.difference[where], atol=6)
    assert inside.maps.mask.sum() == plain.maps.mask.sum(), "no edge is taken off around it"


def test_subtract__a_focus_in_a_lesion_at_the_border_of_the_brain_has_its_p() -> None:
    """The lattice on which peaks are compared with the null's goes on beyond the brain that is left."""
    front = POINTS[BRAIN.ravel()][:, 1].max()
    lesion = BRAIN & (POINTS[:, 1] > front - 30).reshape(SHAPE)
    scan = ictal_scan(seizure((0.0, front - 8, 20.0)))
    plain, found = (run(scan, real(kind="synthetic"), lesion=one).foci[0] for one in (None, lesion))
    assert (found.lesion_percent, found.znull_max > 10) == (pytest.approx(100, abs=20), True)
    # The least that so few simulated maps can say.
    assert found.p_corrected == plain.p_corrected < 0.2


def test_subtract__a_lesion_of_one_voxel_is_no_lesion_of_nothing() -> None:
    (note,) = _lesion_notes(0.0412)
    assert note.startswith("The lesion mask (0.04 mL of the brain that both scans show)")


def test_subtract__an_empty_mask_is_none() -> None:
    plain, empty = run(ictal_scan(seizure())), run(ictal_scan(seizure()), lesion=np.zeros(SHAPE, dtype=bool))
    np.testing.assert_array_equal(plain.maps.znull, empty.maps.znull)
    assert plain.notes == empty.notes
    assert repr(plain.foci) == repr(empty.foci)


def test_subtract__a_mask_of_all_of_the_brain_is_said() -> None:
    with pytest.raises(ValueError, match="the lesion mask leaves nothing"):
        run(ictal_scan(seizure()), lesion=BRAIN)


def with_lesion(request: Request, mask: np.ndarray) -> Request:
    path = save(request.case.images["T1w"].with_name("lesion.nii.gz"), mask.astype(np.float32))
    return replace(request, case=replace(request.case, lesion=path))


def lesion_of(request: Request) -> np.ndarray:
    """A part of the brain on one side, away from its middle."""
    where = np.argwhere(request.brain)
    low = where.min(axis=0) + (where.max(axis=0) - where.min(axis=0)) // 5
    mask = np.zeros(request.brain.shape, dtype=bool)
    mask[tuple(slice(a, a + 3) for a in low)] = True
    return mask & request.brain


def soiled(request: Request, mask: np.ndarray, *roles: str) -> Request:
    for role in roles:
        request = changed(request, role, np.where(mask, 900, request.image(role)).astype(np.float32))
    return request


@pytest.mark.parametrize("template", [True, False])
def test_pet__outside_the_lesion_nothing_depends_on_it(make_request: MakeRequest, template: bool) -> None:
    request = make_request(pet=True)
    request = request if template else replace(request, case=replace(request.case, template_xfm=None, template_xfms={}))
    mask = lesion_of(request)
    assert mask.any()
    (before,) = PET.make(with_lesion(request, mask))
    (after,) = PET.make(with_lesion(soiled(request, mask, "pet", "ictal", "T1w"), mask))
    (plain,) = PET.make(soiled(request, mask, "pet", "ictal", "T1w"))
    np.testing.assert_array_equal(after.values[~mask], before.values[~mask])
    assert np.array_equal(after.mask, plain.mask), "it goes on in it"
    assert not np.array_equal(after.values[mask], before.values[mask])
    assert not np.array_equal(plain.values[~mask], before.values[~mask])


def test_cohort_ratio__outside_the_lesion_nothing_depends_on_it(make_request: MakeRequest) -> None:
    request = make_request(pet=True)
    mask, mean = lesion_of(request), np.where(request.brain, np.float32(50), np.float32(0))
    wild = np.where(mask, np.float32(900), request.image("pet"))
    before, after = (
        cohort_baseline._ratio(with_lesion(request, mask), pet, mean) for pet in (request.image("pet"), wild)
    )
    np.testing.assert_array_equal(after[~mask], before[~mask])
    plain = cohort_baseline._ratio(request, wild, mean)
    assert not np.array_equal(plain[~mask], before[~mask])
    np.testing.assert_array_equal(after[mask], plain[mask])


@pytest.mark.parametrize("kind", ["real", "synthetic"])
def test_residual__of_a_participant_with_a_lesion_counts_outside_of_it(
    make_request: MakeRequest, kind: BaselineKind, tmp_path: Path
) -> None:
    request, difference = make_request(), residual_difference(Choices())
    mask = lesion_of(request)
    values = np.where(request.brain, request.image("interictal") * 1.1 + request.image("T1w") * 0.01, 0)
    baseline = BaselineImage(kind=kind, label="X", values=values.astype(np.float32), mask=request.brain)
    before = residual_of(with_lesion(request, mask), baseline, difference)
    after = residual_of(with_lesion(soiled(request, mask, "interictal"), mask), baseline, difference)
    np.testing.assert_array_equal(before.mask, request.measured & ~mask)
    np.testing.assert_array_equal(after.values, before.values)
    np.testing.assert_array_equal(after.peak, before.peak)
    plain = residual_of(soiled(request, mask, "interictal"), baseline, difference)
    assert not np.array_equal(plain.values[~mask], before.values[~mask])
