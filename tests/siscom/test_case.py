from dataclasses import replace
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from bids_spectsynth.siscom.case import Siscom, subtract
from bids_spectsynth.siscom.comparable import Choices
from bids_spectsynth.siscom.records import BaselineImage, CohortError
from bids_spectsynth.siscom.subtraction.level import LEVELS
from bids_spectsynth.siscom.subtraction.route import DIRECT, THROUGH_T1W, IctalScan
from tests.siscom.conftest import depth, rigid, uptake, world

#: Coarse, so that a SISCOM takes a fraction of a second.
SIZE = 8.0
SHAPE = (18, 22, 16)
AFFINE = np.diag([SIZE, SIZE, SIZE, 1.0])
AFFINE[:3, 3] = (-68, -98, -48)
POINTS = world(AFFINE, SHAPE)
BRAIN = (depth(POINTS) < 1).reshape(SHAPE)
SCAN = uptake(POINTS).reshape(SHAPE).astype(np.float32)
T1W = np.where(BRAIN, 200 - SCAN, 0).astype(np.float32)
LEFT = (-30.0, -22.0, 20.0)

pytestmark = pytest.mark.usefixtures("few_simulations")


def noisy(seed: int, percent: float = 2) -> np.ndarray:
    values = SCAN * (1 + percent / 100 * np.random.default_rng(seed).standard_normal(SHAPE))
    return np.asarray(values, dtype=np.float32)


def spot(centre: tuple[float, ...], radius: float = 16) -> np.ndarray:
    return np.asarray((np.linalg.norm(POINTS - centre, axis=-1) < radius).reshape(SHAPE))


def seizure(centre: tuple[float, ...] = LEFT, percent: float = 60) -> np.ndarray:
    return np.asarray(1.5 * noisy(1) * np.where(spot(centre), 1 + percent / 100, 1), dtype=np.float32)


def ictal_scan(values: np.ndarray, matrix: np.ndarray | None = None) -> IctalScan:
    image: Any = nib.Nifti1Image(values.astype(np.float32), AFFINE)
    return IctalScan(image=image, matrix=np.eye(4) if matrix is None else matrix, mask=BRAIN)


def real(values: np.ndarray | None = None, **options: Any) -> BaselineImage:
    values = np.where(BRAIN, noisy(2) if values is None else values, 0).astype(np.float32)
    return BaselineImage(**{"kind": "real", "label": "Real", "values": values, "mask": BRAIN, **options})


def run(
    ictal: IctalScan, baseline: BaselineImage | None = None, choices: Choices | None = None, **options: Any
) -> Siscom:
    return subtract(ictal, baseline or real(), T1W, BRAIN, AFFINE, choices or Choices(), **options)


def test_subtract__finds_a_focus_where_it_is_and_how_much_it_is() -> None:
    found = run(ictal_scan(seizure()))
    first = found.foci[0]
    assert (first.rank, first.sign) == (1, "hyper")
    assert np.linalg.norm(np.subtract(first.peak_mm, LEFT)) < 16
    assert 15 < first.percent_max < 60
    assert found.route.name == DIRECT
    assert found.levels[found.level_used] == pytest.approx(1.5, rel=0.02)
    assert tuple(found.levels) == tuple(LEVELS)
    assert set(first.budget) == set(found.null.parts)
    assert found.maps.zcohort is None
    assert found.notes == ("No transform to a template: one level for the whole brain, no smooth gain.",)


def test_subtract__a_cold_focus_is_hypoperfusion() -> None:
    first = run(ictal_scan(seizure(percent=-50))).foci[0]
    assert (first.sign, first.percent_max < 0, first.z_max < 0) == ("hypo", True, True)
    assert first.peak_mm[0] < 0


def reoriented(values: np.ndarray, order: list[int], flips: tuple[bool, ...]) -> Any:
    turn = np.array([[axis, -1 if flip else 1] for axis, flip in zip(order, flips, strict=True)])
    return nib.Nifti1Image(values.astype(np.float32), AFFINE).as_reoriented(turn)


ORDERS, FLIPS = st.permutations(range(3)), st.tuples(*[st.booleans()] * 3)


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ORDERS, FLIPS, ORDERS, FLIPS, st.sampled_from([-1, 1]))
def test_subtract__left_is_left_in_every_orientation_of_either_image(
    order: list[int], flips: tuple[bool, ...], ictal_order: list[int], ictal_flips: tuple[bool, ...], side: int
) -> None:
    grid = reoriented(BRAIN, order, flips)
    brain = np.asarray(grid.dataobj) > 0
    baseline, t1w = (np.asarray(reoriented(values, order, flips).dataobj) for values in (noisy(2), T1W))
    image = reoriented(seizure((side * 30.0, -22.0, 20.0)), ictal_order, ictal_flips)
    found = subtract(
        IctalScan(image=image, matrix=np.eye(4), mask=brain),
        BaselineImage(kind="real", label="Real", values=np.where(brain, baseline, 0), mask=brain),
        t1w,
        brain,
        grid.affine,
        Choices(),
    )
    hyper = next(focus for focus in found.foci if focus.sign == "hyper")
    assert hyper.rank == 1
    assert np.sign(hyper.peak_mm[0]) == np.sign(hyper.centroid_mm[0]) == side


def test_subtract__maps_are_those_of_a_plain_computation() -> None:
    found = run(ictal_scan(seizure()))
    mask = found.maps.mask

    def smooth(values: np.ndarray, kernel: float) -> np.ndarray:
        sigma = np.hypot(12, kernel) / np.sqrt(8 * np.log(2)) / SIZE
        blur = [ndimage.gaussian_filter(x, sigma, mode="constant") for x in (np.where(BRAIN, values, 0.0), 1.0 * BRAIN)]
        return np.asarray(blur[0][mask] / blur[1][mask])

    back = np.linalg.inv(AFFINE) @ found.route.matrix @ AFFINE
    moved = np.maximum(ndimage.affine_transform(seizure().astype(float), back, order=3, mode="mirror"), 0)
    x, y = smooth(moved, found.matching.ictal), smooth(noisy(2), found.matching.baseline)
    difference = 100 * (x / found.levels["mode"] - y) / y.mean()
    # Borders of the field of view are treated in several ways.
    np.testing.assert_allclose(found.maps.difference[mask], difference, atol=0.5)
    assert np.corrcoef(found.maps.difference[mask], difference)[0, 1] > 0.999
    own = found.maps.difference[mask].astype(float)
    np.testing.assert_allclose(found.maps.z[mask], own / own.std(), atol=1e-6, rtol=1e-6)
    assert found.maps.sd_percent == pytest.approx(own.std())
    for values in (found.maps.difference, found.maps.z, found.maps.znull):
        assert values.dtype == np.float32
        assert not values[~mask].any()
        assert np.isfinite(values).all()


def test_subtract__what_lies_outside_the_brain_changes_nothing() -> None:
    plain = run(ictal_scan(seizure()))
    wild = replace(real(), values=np.where(BRAIN, real().values, np.float32(1e5)))
    soiled = subtract(ictal_scan(seizure()), wild, np.where(BRAIN, T1W, np.float32(-900)), BRAIN, AFFINE, Choices())
    for name in ("difference", "z", "znull"):
        np.testing.assert_array_equal(getattr(soiled.maps, name), getattr(plain.maps, name))
    assert repr(soiled.foci) == repr(plain.foci)


def test_subtract__equal_seeds_give_equal_results_and_only_the_null_depends_on_them() -> None:
    one, same, other = (run(ictal_scan(seizure()), choices=Choices(seed=seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.maps.znull, same.maps.znull)
    assert not np.array_equal(one.maps.znull, other.maps.znull)
    np.testing.assert_array_equal(one.maps.z, other.maps.z)


def test_subtract__threshold_and_least_volume_decide_what_is_a_focus() -> None:
    scan = ictal_scan(seizure())
    plain, strict, large = (run(scan, choices=one) for one in (Choices(), Choices(threshold=99), Choices(least_ml=500)))
    assert plain.foci
    assert strict.foci == large.foci == []


def test_subtract__a_cohort_gives_its_map_and_its_part_of_the_budget() -> None:
    error = CohortError(
        mean=np.full(SHAPE, 1, np.float32), standard_deviation=np.full(SHAPE, 4, np.float32), n_participants=9
    )
    found = run(ictal_scan(seizure()), error=error)
    mask = found.maps.mask
    assert found.maps.zcohort is not None
    np.testing.assert_allclose(found.maps.zcohort[mask], (found.maps.difference[mask] - 1) / 4, rtol=1e-5, atol=1e-6)
    assert found.foci[0].budget["synthesis"] == 4
    assert np.isfinite(found.foci[0].zcohort_max)


def test_subtract__level_that_cannot_be_had_is_said_and_the_mode_taken() -> None:
    found = run(ictal_scan(seizure()), choices=Choices(level="cerebellum"))
    assert found.level_used == "mode"
    assert found.notes[1:] == ("the level by cerebellum cannot be had; the mode is used",)
    with_it = run(ictal_scan(seizure()), choices=Choices(level="cerebellum"), cerebellum=spot((20, -60, -8)))
    assert with_it.level_used == "cerebellum"


def test_subtract__a_seizure_of_much_of_the_brain_is_said() -> None:
    half = 1.5 * noisy(1) * np.where(POINTS[:, 0].reshape(SHAPE) < -12, 1.6, 1)
    assert any("estimates of the level differ" in note for note in run(ictal_scan(half)).notes)


def test_subtract__notes_of_the_baseline_and_what_was_seen_are_kept() -> None:
    found = run(
        ictal_scan(seizure()), real(kind="synthetic", label="Best", synthetic=True, seen=True, notes=("Seen.",))
    )
    assert "Seen." in found.notes
    assert "seen" in found.foci[0].flags


def test_subtract__registration_that_moves_too_far_is_not_taken() -> None:
    far = run(ictal_scan(1.5 * noisy(1), rigid((9, 0, 0), (0, 0, 0))))
    assert far.route.name == THROUGH_T1W
    np.testing.assert_array_equal(far.route.matrix, rigid((9, 0, 0), (0, 0, 0)))
    assert far.route.largest_mm > 6
    assert any("not plausible" in note for note in far.notes)


def test_subtract__disagreement_of_the_routes_is_in_millimetres() -> None:
    found = run(ictal_scan(1.5 * noisy(1), rigid((2, 0, 0), (0, 0, 0))))
    assert found.route.name == DIRECT
    assert found.route.mean_mm == pytest.approx(2, abs=0.5)
    assert found.route.residual_percent < found.route.other_residual_percent


def test_subtract__what_cannot_be_subtracted_is_said() -> None:
    with pytest.raises(ValueError, match="the ictal scan is constant"):
        run(ictal_scan(np.full(SHAPE, 5.0)))
    with pytest.raises(ValueError, match="the baseline is constant"):
        run(ictal_scan(seizure()), real(np.full(SHAPE, 5.0)))
    with pytest.raises(ValueError, match="nowhere thick enough"):
        run(replace(ictal_scan(seizure()), mask=~BRAIN))


def test_subtract__a_smooth_gain_is_fitted_where_the_template_is_known() -> None:
    # A network's image that is too bright in front.
    tilted = real(noisy(2) * (1 + 0.1 * (POINTS[:, 1].reshape(SHAPE) + 18) / 90), kind="synthetic", synthetic=True)
    scans, alone = (ictal_scan(1.5 * noisy(1)), tilted), Choices(trend=False)
    without, fitted = (run(*scans, alone, to_template=way) for way in (None, np.eye(4)))
    assert fitted.maps.sd_percent < 0.6 * without.maps.sd_percent
    measured = replace(tilted, kind="real", synthetic=False)
    alike, apart = (run(ictal_scan(1.5 * noisy(1)), measured, to_template=way) for way in (np.eye(4), None))
    assert alike.maps.sd_percent < 0.7 * apart.maps.sd_percent
    plain = run(ictal_scan(1.5 * noisy(1)), tilted, Choices(gain=False, trend=False), to_template=np.eye(4))
    assert plain.maps.sd_percent == without.maps.sd_percent
    # What scans differ by as a whole is left to the level.
    assert fitted.levels["mode"] == pytest.approx(without.levels["mode"], rel=0.05)


def test_subtract__the_trend_is_taken_off_what_was_not_measured_and_told() -> None:
    tilted = real(noisy(2) * (1 + 0.1 * POINTS[:, 0].reshape(SHAPE) / 70), kind="synthetic", synthetic=True)
    scan_ = ictal_scan(1.5 * noisy(1))
    with_trend, without = run(scan_, tilted), run(scan_, tilted, Choices(trend=False))
    assert with_trend.maps.trend is not None
    assert without.maps.trend is None
    both = (with_trend.maps.difference + with_trend.maps.trend)[with_trend.maps.mask]
    np.testing.assert_allclose(both, without.maps.difference[with_trend.maps.mask], atol=1e-3)
    assert with_trend.maps.sd_percent < 0.8 * without.maps.sd_percent
    assert any("Broad differences" in note for note in with_trend.notes)
    assert any("simulated maps alone" in note for note in with_trend.notes)
    measured = run(scan_, replace(tilted, kind="real", synthetic=False))
    assert measured.maps.trend is None
    assert not any("Broad differences" in note for note in measured.notes)


def test_subtract__p_of_what_was_not_measured_is_by_height_and_no_smaller_than_the_cohort_says() -> None:
    scan = ictal_scan(seizure(percent=25))
    synthetic = real(kind="synthetic", synthetic=True)
    flat = {"mean": np.zeros(SHAPE, np.float32), "standard_deviation": np.full(SHAPE, 4, np.float32)}
    usual, many = (
        run(scan, synthetic, error=CohortError(**flat, n_participants=6, peaks=peaks))
        for peaks in ((), (40.0, 41.0, 42.0, 43.0, 44.0, 45.0))
    )
    assert len(usual.null.heights) == 9
    first, beside = usual.foci[0], many.foci[0]
    assert not any("simulated maps alone" in note for note in many.notes)
    assert first.p_corrected == usual.null.p_height(abs(first.znull_max))
    assert beside.p_corrected > 0.9
    assert [focus.znull_max for focus in usual.foci] == sorted((f.znull_max for f in usual.foci), key=lambda z: -abs(z))
    measured = run(scan, real())
    assert len(measured.null.heights) == 0
