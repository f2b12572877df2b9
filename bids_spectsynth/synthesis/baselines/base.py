"""What a network has to beat: five ways to guess a SPECT that need no network, fitted on the training subjects."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.roles import INTERICTAL, PET
from bids_spectsynth.bids.writing import atomic_file, write_json
from bids_spectsynth.errors import ModelError
from bids_spectsynth.images.grid import Grid
from bids_spectsynth.images.reading import load_image
from bids_spectsynth.options.settings import T1W_SPACE, Scaling
from bids_spectsynth.synthesis.baselines.files import CARD_FILE, FORMAT_VERSION, TENSORS_FILE
from bids_spectsynth.synthesis.baselines.mean import CohortMean, pet_ratio, sample_in_brain
from bids_spectsynth.synthesis.baselines.quadratic import feature_names, quadratic_features
from bids_spectsynth.synthesis.data.scaling import apply_scaling, scaling_coefficients
from bids_spectsynth.synthesis.data.slices import CaseArrays, brain_and_rated, load_case

logger = logging.getLogger(__name__)

#: Names of the baselines in the tables.
BASELINES = ("constant", "petCopy", "regression", "meanSpect", "meanSpectPetRatio")
_OF_THE_PET = ("petCopy", "meanSpectPetRatio")
OF_THE_MEAN = ("meanSpect", "meanSpectPetRatio")

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Baselines:
    """The fitted baselines of one model.

    Parameters
    ----------
    inputs : tuple of str
        Roles of the model's inputs, which the regression uses.
    space, scaling : str
        As of the model.
    template : str or None
        Template of the mean images' grid.
    n_subjects : int
        Training participants.
    constant : float
        Mean scaled SPECT over the rated voxels of the training cases (brain where the SPECT was measured), -1 to 1.
    coefficients : array, shape (T,), float64
        Of the regression; see :func:`quadratic_features`.
    mean_affine : array, shape (4, 4), or None
        Voxels of the mean images to world coordinates of the template, RAS+ mm.
    mean_spect, mean_pet : array, shape (I, J, K), float32, or None
        Means of the training cases' images, each over its in-brain mean.
    calibration : mapping of str to (gain, offset)
        Of the two baselines that use the mean SPECT: scaled by its own maximum alone, a mean is too bright, because it
        is smoother than any single SPECT. Fitted with each training participant left out of its own mean.
    coverage : mapping of str to array
        How many brains cover each voxel of ``mean_spect`` and ``mean_pet``, by these names.
    left_out : mapping of str to str
        Reason by the name of each baseline that could not be fitted.
    """

    inputs: tuple[str, ...]
    space: str
    scaling: Scaling
    template: str | None
    n_subjects: int
    constant: float
    coefficients: Float64
    mean_affine: Float64 | None
    mean_spect: Float32 | None
    mean_pet: Float32 | None
    left_out: Mapping[str, str]
    calibration: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    coverage: Mapping[str, Float32] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Write ``baselines.safetensors`` and ``baselines.json``, each whole or not at all."""
        optional = {"mean_affine": self.mean_affine, "mean_spect": self.mean_spect, "mean_pet": self.mean_pet}
        optional |= {f"coverage_{name}": array for name, array in self.coverage.items()}
        tensors = {name: np.ascontiguousarray(array) for name, array in optional.items() if array is not None}
        with atomic_file(folder / TENSORS_FILE) as file:
            file.write(save({"coefficients": self.coefficients, **tensors}))
        card = {
            "Description": "Baselines beside the network, fitted on its training participants",
            "FormatVersion": FORMAT_VERSION,
            "Inputs": self.inputs,
            "Space": self.space,
            "Scaling": self.scaling,
            "Template": self.template,
            "NumberOfParticipants": self.n_subjects,
            "Constant": self.constant,
            "RegressionTerms": feature_names(self.inputs),
            "Calibration": {name: list(pair) for name, pair in self.calibration.items()},
            "LeftOut": self.left_out,
        }
        write_json(folder / CARD_FILE, card)

    @classmethod
    def load(cls, folder: Path) -> "Baselines":
        """Read what :meth:`save` wrote.

        Raises
        ------
        ModelError
            A file is missing, damaged, or of a newer version.
        """
        try:
            card = json.loads((folder / CARD_FILE).read_text(encoding="utf-8"))
            if card["FormatVersion"] < FORMAT_VERSION:
                raise ModelError(f"{folder / CARD_FILE}: written by an older version; train the model again")
            if card["FormatVersion"] > FORMAT_VERSION:
                raise ModelError(f"{folder / CARD_FILE}: written by a newer version; update bids_spectsynth")
            tensors = load((folder / TENSORS_FILE).read_bytes())
            return cls(
                inputs=tuple(card["Inputs"]),
                space=card["Space"],
                scaling=card["Scaling"],
                template=card["Template"],
                n_subjects=int(card["NumberOfParticipants"]),
                constant=float(card["Constant"]),
                coefficients=tensors["coefficients"],
                mean_affine=tensors.get("mean_affine"),
                mean_spect=tensors.get("mean_spect"),
                mean_pet=tensors.get("mean_pet"),
                left_out=dict(card["LeftOut"]),
                calibration={
                    name: (float(gain), float(offset)) for name, (gain, offset) in card["Calibration"].items()
                },
                coverage={
                    name.removeprefix("coverage_"): array
                    for name, array in tensors.items()
                    if name.startswith("coverage_")
                },
            )
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            reason = " ".join(str(error).split())
            raise ModelError(f"{folder}: the baselines cannot be read ({reason}); train the model again") from error


def rated_target(arrays: CaseArrays) -> tuple[Float32, Mask]:
    """The scaled SPECT of a case that was loaded with it, and where it was measured in the brain."""
    assert arrays.target is not None
    assert arrays.rated is not None
    return arrays.target, arrays.rated


def predict(baselines: Baselines, prepared: PreparedCase) -> dict[str, Float32]:
    """Every baseline's SPECT of one case.

    Parameters
    ----------
    baselines : Baselines
    prepared : PreparedCase
        Of the baselines' space, with their inputs.

    Returns
    -------
    dict of str to array, shape (I, J, K), float32
        In [-1, 1]; -1 outside the brain. Baselines that use PET are missing for a case without one, those that use
        the cohort's mean for a case without a transform to its template; both are logged.

    Raises
    ------
    ImageError
        An image is missing or damaged.
    """
    prepared = prepared.through(baselines.template)
    absent = left_out_of([prepared]) | dict(baselines.left_out)
    if baselines.template and baselines.template != template_of(prepared):
        absent |= dict.fromkeys(OF_THE_MEAN, f"no transform to {baselines.template}")
    names = [name for name in BASELINES if name not in absent]
    for name in sorted(set(absent)):
        logger.info("%s: baseline %s left out: %s", prepared.name, name, absent[name])
    with_pet = "petCopy" in names
    roles = tuple(dict.fromkeys((*baselines.inputs, PET) if with_pet else baselines.inputs))
    arrays = load_case(prepared, roles, baselines.scaling, target=False)
    mask = arrays.mask
    found = {
        "constant": _in_brain(baselines.constant, mask),
        "regression": _regress(arrays.inputs[: len(baselines.inputs)], mask, baselines.coefficients),
    }
    if with_pet:
        found["petCopy"] = np.where(mask, arrays.inputs[roles.index(PET)], np.float32(-1))
    if "meanSpect" in names:
        means = from_means(baselines, prepared, mask, arrays.affine, with_ratio="meanSpectPetRatio" in names)
        for name, image in means.items():
            gain, offset = baselines.calibration[name]
            found[name] = _in_brain(np.clip(gain * image[mask] + offset, -1, 1), mask)
    return {name: found[name] for name in names}


def from_means(
    baselines: Baselines, prepared: PreparedCase, mask: Mask, affine: Float64, *, with_ratio: bool
) -> dict[str, Float32]:
    """The baselines that use the cohort's means, scaled but without their gain and offset, by name."""
    assert baselines.mean_affine is not None
    assert baselines.mean_spect is not None
    spect = sample_in_brain(baselines.mean_spect, baselines.mean_affine, prepared, mask, affine)
    found = {"meanSpect": _scaled(spect, mask, baselines.scaling)}
    if with_ratio:
        assert baselines.mean_pet is not None
        mean_pet = sample_in_brain(baselines.mean_pet, baselines.mean_affine, prepared, mask, affine)
        ratio = pet_ratio(unscaled(prepared, PET), mean_pet, mask, affine)
        found["meanSpectPetRatio"] = _scaled(spect * ratio, mask, baselines.scaling)
    return found


def mean_image(
    baselines: Baselines,
    name: str,
    case: PreparedCase,
    mask: Mask,
    affine: Float64,
    left_out: Sequence[PreparedCase] = (),
) -> Float32:
    """One of the two baselines that use the cohort's mean, for one case.

    Parameters
    ----------
    baselines : Baselines
    name : {'meanSpect', 'meanSpectPetRatio'}
    case : PreparedCase
    mask : array of bool, shape (I, J, K)
    affine : array, shape (4, 4)
        Of the mask.
    left_out : sequence of PreparedCase
        Cases that the means were fitted to and that shall not count; ignored where nobody else would be left.

    Returns
    -------
    array, shape (I, J, K), float32
        In [-1, 1]; -1 outside the brain.

    Raises
    ------
    ModelError
        The case has no transform to the template of the means.
    """
    case = case.through(baselines.template)
    if baselines.template != template_of(case):
        raise ModelError(
            f"{case.name}: no transform to {baselines.template}, in which the model's cohort mean lies; prepare with "
            f"--output-spaces {case.space} {baselines.template}"
        )
    if baselines.n_subjects > len({one.participant for one in left_out}):
        baselines = without_cases(baselines, left_out)
    image = from_means(baselines, case, mask, affine, with_ratio=name == "meanSpectPetRatio")[name]
    gain, offset = baselines.calibration[name]
    return _in_brain(np.clip(gain * image[mask] + offset, -1, 1), mask)


def without_cases(fitted: Baselines, cases: Sequence[PreparedCase]) -> Baselines:
    """The baselines with means that some of their cases do not count in."""
    if not cases:
        return fitted
    assert fitted.mean_affine is not None
    assert fitted.mean_spect is not None
    i, j, k = fitted.mean_spect.shape
    grid = Grid((i, j, k), fitted.mean_affine)
    spect_own, pet_own = CohortMean(grid), CohortMean(grid)
    for one in cases:
        case = one.through(fitted.template)
        mask, rated, affine = brain_and_rated(case)
        spect_own.add(case, unscaled(case, INTERICTAL), rated, affine)
        if fitted.mean_pet is not None:
            pet_own.add(case, unscaled(case, PET), mask, affine)
    spect = CohortMean.from_result(grid, fitted.mean_spect, fitted.coverage["mean_spect"]).without(spect_own).result()
    if fitted.mean_pet is None:
        return replace(fitted, mean_spect=spect)
    pet = CohortMean.from_result(grid, fitted.mean_pet, fitted.coverage["mean_pet"]).without(pet_own).result()
    return replace(fitted, mean_spect=spect, mean_pet=pet)


def _regress(inputs: Float32, mask: Mask, coefficients: Float64) -> Float32:
    return _in_brain(np.clip(coefficients @ quadratic_features(inputs[:, mask]), -1, 1), mask)


def _in_brain(values: npt.ArrayLike, mask: Mask) -> Float32:
    volume = np.full(mask.shape, -1, dtype=np.float32)
    volume[mask] = values
    return volume


def _scaled(volume: Float32, mask: Mask, scaling: Scaling) -> Float32:
    return apply_scaling(volume, *scaling_coefficients(volume, mask, scaling))


def unscaled(case: PreparedCase, role: str) -> Float32:
    """A prepared image as it is, shape (I, J, K)."""
    return np.asarray(load_image(case.images[role])[0].dataobj, dtype=np.float32)


def left_out_of(cases: Sequence[PreparedCase]) -> dict[str, str]:
    """Which baselines these cases cannot have, and why."""
    left_out = {}
    without_pet = [case.name for case in cases if PET not in case.images]
    if without_pet:
        left_out = dict.fromkeys(_OF_THE_PET, f"{len(without_pet)} of {len(cases)} cases without PET")
    templates = {template_of(case) for case in cases}
    if None in templates or len(templates) > 1:
        left_out |= dict.fromkeys(OF_THE_MEAN, "cases without a transform to one common template")
    return left_out


def template_of(case: PreparedCase) -> str | None:
    """The template whose world a case's mean images lie in; None without a transform to one."""
    return case.template if case.space == T1W_SPACE else case.space
