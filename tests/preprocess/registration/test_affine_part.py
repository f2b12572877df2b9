"""The affine to a template: exact for a template registered to itself at any scale, and not pulled by shading."""

from functools import cache

import nibabel as nib
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from bids_spectsynth.images.grid import Grid, apply_affine, grid_of, new_image
from bids_spectsynth.images.resampling import resample_image
from bids_spectsynth.options.spaces import BUILT_IN_TEMPLATE
from bids_spectsynth.preprocess.registration import register
from bids_spectsynth.preprocess.registration.affine_part import fit_affine_part, make_even_sampler, shaded_samples
from bids_spectsynth.preprocess.registration.cost import IntensityModel, build_model
from bids_spectsynth.preprocess.registration.optimiser import mean_distance
from bids_spectsynth.preprocess.registration.register import register_images
from bids_spectsynth.preprocess.registration.sampler import make_sampler, shrink
from bids_spectsynth.preprocess.templates.templates import Template, fetch_template

_SHEAR = np.array([[1, np.tan(np.deg2rad(5)), 0], [0, 1, 0], [0, 0, 1]])
_TURN = Rotation.from_euler("xyz", [10, -6, 8], degrees=True).as_matrix()


@cache
def _template() -> Template:
    return fetch_template(BUILT_IN_TEMPLATE)


@cache
def _model() -> IntensityModel:
    return build_model(_template().image, _template().mask)


def _points() -> np.ndarray:
    return apply_affine(_template().mask.affine, np.argwhere(np.asanyarray(_template().mask.dataobj) > 0)[::997])


def _moved(linear: np.ndarray) -> tuple[nib.Nifti1Image, np.ndarray]:
    """The template's brain as an image of 1.5 mm of a head whose world is the truth applied to the template's."""
    centre = _points().mean(axis=0)
    truth = nib.affines.from_matvec(linear, centre - linear @ centre + [4, -7, 5])
    affine = nib.affines.from_matvec(np.eye(3) * 1.5, apply_affine(truth, centre[None])[0] - [110, 125, 110])
    grid = Grid((147, 167, 147), affine)
    values = np.asanyarray(resample_image(_template().image, grid, np.linalg.inv(truth), 1).dataobj)
    return new_image(values, affine), truth


@pytest.mark.parametrize(
    "linear",
    [
        np.eye(3) * 0.9,
        np.eye(3) * 1.1,
        _TURN @ np.diag([1.06, 0.92, 1.08]),
        _TURN @ _SHEAR * 0.95,
    ],
    ids=["smaller", "larger", "scales_turned", "shear_turned"],
)
def test_register_images__template_to_itself_is_exact_at_any_scale(linear: np.ndarray) -> None:
    moving, truth = _moved(linear)
    result = register_images(moving, _template().image, _template().mask, dof=12, init="auto", role="T1w")
    assert mean_distance(result.matrix, truth, _points()) < 0.2
    assert not result.poor, result.notes


def test_fit_affine_part__is_not_pulled_by_a_coils_shading() -> None:
    moving, truth = _moved(np.diag([0.97, 1.04, 1.0]))
    where = apply_affine(moving.affine, np.indices(moving.shape).reshape(3, -1).T).reshape(*moving.shape, 3)
    shade = np.exp(0.3 * np.sin(where[..., 1] / 60) + 0.2 * where[..., 0] / 70).astype(np.float32)
    data, affine = shrink(new_image(np.asanyarray(moving.dataobj) * shade, moving.affine), 2.0)
    start = truth @ nib.affines.from_matvec(np.eye(3) * 1.03, [1, -1, 2])
    sampler = make_even_sampler(data, affine, np.ones(3), start, 3.2)
    found = fit_affine_part(sampler, start, _model(), 2.6)
    assert mean_distance(start, truth, _points()) > 2
    assert mean_distance(found, truth, _points()) < 0.35


def test_fit_affine_part__outside_the_field_of_view_the_start_stays() -> None:
    away = nib.affines.from_matvec(np.eye(3), [900, 0, 0])
    sampler = make_sampler(np.ones((20, 20, 20), np.float32), np.eye(4), 0.0)
    np.testing.assert_array_equal(fit_affine_part(sampler, away, _model(), 2.6), away)


def test_make_even_sampler__smooths_by_the_templates_millimetres() -> None:
    """A point is blurred to twice the width where the template is stretched to twice its size."""
    data = np.zeros((41, 41, 41), np.float32)
    data[20, 20, 20] = 1

    def width(scale: float, blocks: float) -> float:
        matrix = np.diag([scale, scale, scale, 1.0])
        values = make_even_sampler(data, np.eye(4), np.full(3, blocks), matrix, 5.0).values
        return float(np.sqrt((values * (np.arange(41) - 20)[:, None, None] ** 2).sum() / values.sum()))

    assert width(2.0, 1) == pytest.approx(2 * width(1.0, 1), rel=0.02)
    assert width(1.0, 1) == pytest.approx(5 / 2.3548, rel=0.02)
    assert width(1.0, 2) ** 2 == pytest.approx(width(1.0, 1) ** 2 - 0.75 / 12, rel=0.01)


def test_shaded_samples__brain_may_be_brighter_and_darker() -> None:
    model = _model()
    samples = shaded_samples(model, 3.0)
    plain = model.samples(3.0, 1, varying=False)
    np.testing.assert_array_equal(samples.points, plain.points)
    assert samples.columns.shape[1] == plain.columns.shape[1] + 3 + 6 + 10


def test_register_images__rigid_registration_takes_no_part_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """PET, SPECT and other MR images are registered by R squared alone."""

    def never(*_: object, **__: object) -> None:
        raise AssertionError("not for rigid registrations")

    for name in ("fit_affine_part", "make_even_sampler", "shaded_samples"):
        monkeypatch.setattr(register, name, never)
    template = _template()
    grid = grid_of(template.image)
    coarse = Grid((50, 58, 48), grid.affine @ np.diag([4.0, 4.0, 4.0, 1.0]))
    small = resample_image(template.image, coarse, np.eye(4), 1)
    for role in ("pet", "ictal", "T2w"):
        result = register_images(small, template.image, template.mask, dof=6, init="header", role=role)
        assert mean_distance(result.matrix, np.eye(4), _points()) < 2
