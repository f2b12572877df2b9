"""Calls from Python: load a model, find prepared cases, predict, register two images, resample."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import nibabel as nib
import numpy as np
import numpy.typing as npt
import torch

from bids_spectsynth.bids import prepared
from bids_spectsynth.bids.names import bare_label
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.roles import INTERICTAL, ROLES
from bids_spectsynth.errors import DatasetError, ImageError
from bids_spectsynth.images.grid import grid_of, new_image
from bids_spectsynth.images.reading import average_frames, load_image, sanitise
from bids_spectsynth.images.resampling import resample_image
from bids_spectsynth.options.settings import T1W_SPACE, CoregInit, Scaling
from bids_spectsynth.preprocess.backends.brain_extraction import extract_t1w_brain
from bids_spectsynth.preprocess.registration.plausibility import volume_note, with_brain_notes
from bids_spectsynth.preprocess.registration.register import register_images
from bids_spectsynth.preprocess.registration.result import Registration
from bids_spectsynth.synthesis.computing.devices import as_device
from bids_spectsynth.synthesis.models.card import ModelCard, is_selection_participant, is_training_participant
from bids_spectsynth.synthesis.models.ensemble import Member, check_has_measured, load_members, members_for, model_name
from bids_spectsynth.synthesis.models.fit import check_fit
from bids_spectsynth.synthesis.models.folder import Model
from bids_spectsynth.synthesis.models.folder import load_model as load_network
from bids_spectsynth.synthesis.prediction.case_prediction import Prediction, predict_case, whole_card

logger = logging.getLogger(__name__)

#: An image, or where its file lies.
ImageLike = str | Path | nib.spatialimages.SpatialImage

#: What images without a file are called.
_MOVING, _FIXED, _MASK = "the moving image", "the fixed image", "the brain mask"
#: Names of roles, and of SPECT, in lower case: to a registration, ictal and interictal images are alike.
_ROLES = {**{name.lower(): name for name in ROLES}, "spect": INTERICTAL}
#: A mask may lie as far from its image, mm: headers hold single precision.
_SAME_GRID_MM = 0.01


@dataclass(frozen=True, eq=False)
class SynthesisModel:
    """A trained model, ready to predict: one network, or those of an ensemble.

    Parameters
    ----------
    folder : Path
        ``models/<label>``.
    members : tuple of Member
        Card and fold of each network.
    networks : tuple of Model
        The networks, on their device, in the order of ``members``.
    """

    folder: Path
    members: tuple[Member, ...]
    networks: tuple[Model, ...]

    @property
    def label(self) -> str:
        """The ``desc-`` of its images."""
        return model_name(self.members)

    @property
    def card(self) -> ModelCard:
        """Card of the first network; all share inputs, space, scaling and voxel size."""
        return self.members[0].card

    @property
    def inputs(self) -> tuple[str, ...]:
        """Roles of the images that it needs, in order, such as ``('T1w', 'pet')``."""
        return self.card.inputs

    @property
    def space(self) -> str:
        """Space of its images: ``T1w`` or a template's."""
        return self.card.space

    @property
    def scaling(self) -> Scaling:
        """How its images are brought to (-1, 1): by ``slice`` or by ``volume``."""
        return self.card.scaling

    @property
    def device(self) -> torch.device:
        """Where it is computed."""
        return self.networks[0].device

    def has_seen(self, participant: str) -> bool:
        """Whether a network that would serve a participant was trained, or its epoch chosen, on that label.

        The images of such a participant are not held out, and do not tell how good the model is.
        """
        label = bare_label(participant, "sub")
        cards = [one.card for one in members_for(self.members, label)]
        return any(is_training_participant(card, label) or is_selection_participant(card, label) for card in cards)


def load_model(folder: str | Path, device: str | torch.device | None = None) -> SynthesisModel:
    """Load a trained model with all its networks.

    Parameters
    ----------
    folder : str or Path
        ``models/<label>`` of an output folder, or a copy of it.
    device : {'auto', 'cpu', 'cuda'} or torch.device, optional
        By default a GPU where there is one.

    Raises
    ------
    ModelError
        A file is missing or damaged, was written by a newer version, or there is no such device; or the model has
        learned from simulated heads alone.

    Examples
    --------
    >>> model = load_model("out/models/pix2pixT1wPet")  # doctest: +SKIP
    >>> model.inputs, model.space  # doctest: +SKIP
    (('T1w', 'pet'), 'T1w')
    """
    folder, place = Path(folder), as_device(device)
    members = load_members(folder)
    check_has_measured(members)
    return SynthesisModel(folder, members, tuple(load_network(one.folder, place, one.card) for one in members))


def find_prepared(
    output_dir: str | Path, space: str = T1W_SPACE, participants: str | Sequence[str] = ()
) -> list[PreparedCase]:
    """Prepared cases of an output folder, by participant and session.

    Parameters
    ----------
    output_dir : str or Path
    space : str
        ``T1w`` or a template's; for a model, ``model.space``.
    participants : str or sequence of str
        Labels with or without ``sub-``; empty for all.

    Raises
    ------
    DatasetError
        There is no such folder.

    Examples
    --------
    >>> [case.name for case in find_prepared("out")]  # doctest: +SKIP
    ['sub-01', 'sub-02_ses-a']
    >>> (case,) = find_prepared("out", "MNI152NLin6Asym", "01")  # doctest: +SKIP
    >>> sorted(case.images)  # doctest: +SKIP
    ['T1w', 'interictal', 'pet']
    """
    folder = Path(output_dir)
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such output folder")
    return prepared.find_prepared(folder, space, (participants,) if isinstance(participants, str) else participants)


def predict(model: SynthesisModel, case: PreparedCase, *, samples: int = 0) -> Prediction:
    """The synthetic interictal SPECT of a prepared case, as the program writes it; nothing is written here.

    Of a cross-validation the networks serve that have not seen the participant. A model that was trained with
    ``--harmonise resolution`` gets a sharper PET smoothed; scans are not compared with those of the training.

    Parameters
    ----------
    model : SynthesisModel
    case : PreparedCase
        In the model's space, see :func:`find_prepared`.
    samples : int
        With 2 or more, a standard deviation too: over an ensemble's networks or, of one network, over so many outputs
        with its dropout left on.

    Returns
    -------
    Prediction
        ``scaled`` in [-1, 1], ``values`` in units, ``image`` to be saved.

    Raises
    ------
    ModelError
        The model does not fit the case: an input is missing, or another space or grid.
    ImageError
        A prepared image is missing or damaged.
    ValueError
        A single sample has no deviation.

    Examples
    --------
    >>> prediction = predict(model, case)  # doctest: +SKIP
    >>> nib.save(prediction.image, "synthetic.nii.gz")  # doctest: +SKIP
    """
    if samples < 0 or samples == 1:
        raise ValueError(f"samples: {samples}; 0 for none, or at least 2")
    served = members_for(model.members, case.participant)
    networks = [network for member, network in zip(model.members, model.networks, strict=True) if member in served]
    for network in networks:
        check_fit(network.card, case)
    found = predict_case(networks, case, whole_card(networks, model.label), samples=samples)
    if found.warning:
        logger.warning("%s: %s", case.name, found.warning)
    return found


def register(
    moving: ImageLike,
    fixed: ImageLike,
    fixed_mask: ImageLike | None = None,
    *,
    role: str,
    init: CoregInit = "auto",
) -> Registration:
    """Align two scans of one head (rigid), as the built-in backend aligns PET and SPECT with the T1w.

    The affine to a template is that of :func:`bids_spectsynth.preprocess.registration.register.register_images`.

    Parameters
    ----------
    moving, fixed : image, or path of a NIfTI file
        Any orientation and voxel size; frames are averaged, all weighted alike.
    fixed_mask : image or path, optional
        Brain mask on the voxels of ``fixed``. Without one the brain of ``fixed``, which is a T1w then, is extracted.
    role : str
        What is moving: ``pet``, ``spect``, or an MR suffix such as ``FLAIR``.
    init : {'auto', 'header', 'identity'}
        Search from many starts; only from the header's alignment; or take the header's alignment as it is.

    Returns
    -------
    Registration
        ``matrix`` takes world coordinates (RAS+ mm) of ``fixed`` to those of ``moving``; ``poor`` and ``notes`` tell
        whether to trust it.

    Raises
    ------
    ImageError
        An image cannot be used, or there is no brain in it.
    ValueError
        There is no such ``init``.

    Examples
    --------
    >>> found = register("sub-01_trc-FDG_pet.nii.gz", "sub-01_T1w.nii.gz", role="pet")  # doctest: +SKIP
    >>> found.poor, found.notes  # doctest: +SKIP
    (False, ())
    """
    if init not in get_args(CoregInit):
        raise ValueError(f"init {init!r}: one of {', '.join(get_args(CoregInit))}")
    image, image_notes = _read(moving, _MOVING)
    reference, _ = _read(fixed, _FIXED)
    if fixed_mask is None:
        with _named(_name(fixed, _FIXED)):
            mask = extract_t1w_brain(reference)
    else:
        mask = _mask(fixed_mask, reference)
    with _named(_name(moving, _MOVING)):
        found = register_images(image, reference, mask, dof=6, init=init, role=_ROLES.get(role.lower(), role))
    found, more = with_brain_notes(found, image, mask)
    own = volume_note(mask)
    return replace(found, notes=(*found.notes, *image_notes, *more, *((own,) if own else ())))


def resample(
    moving: ImageLike, fixed: ImageLike, registration: Registration | npt.ArrayLike, *, order: int = 3
) -> nib.Nifti1Image:
    """An image on the voxels of another one, through a registration, interpolated once.

    Parameters
    ----------
    moving, fixed : image, or path of a NIfTI file
        As given to :func:`register`.
    registration : Registration, or array of shape (4, 4)
        World coordinates (RAS+ mm) of ``fixed`` to those of ``moving``; ``numpy.eye(4)`` where both share them.
    order : {0, 1, 3}
        Nearest neighbour (labels), linear, or cubic B-spline, which may overshoot a little below zero.

    Returns
    -------
    Nifti1Image, shape of ``fixed``, float32
        0 outside ``moving``.

    Raises
    ------
    ImageError
        An image cannot be used.

    Examples
    --------
    >>> moving = nib.Nifti1Image(np.arange(64, dtype=np.float32).reshape(4, 4, 4), np.eye(4))
    >>> shift = np.eye(4)
    >>> shift[2, 3] = 1.5  # millimetres along z
    >>> resample(moving, moving, shift, order=1).get_fdata()[0, 1]
    array([5.5, 6.5, 0. , 0. ])
    """
    image, _ = _read(moving, _MOVING)
    reference, _ = _read(fixed, _FIXED)
    matrix = registration.matrix if isinstance(registration, Registration) else registration
    return resample_image(image, grid_of(reference), matrix, order)


def _name(image: ImageLike, otherwise: str) -> str:
    """What messages call an image: its file, where it has one."""
    if isinstance(image, nib.spatialimages.SpatialImage):
        return str(image.get_filename() or otherwise)
    return str(image)


def _read(image: ImageLike, name: str) -> tuple[nib.Nifti1Image, tuple[str, ...]]:
    """An image as the program reads it, and what had to be repaired."""
    if isinstance(image, str | Path):
        return load_image(Path(image))
    path = Path(_name(image, name))
    if len(image.shape) != 4 or image.shape[3] == 1:
        return sanitise(image, path)
    clean, notes = sanitise(new_image(average_frames(image.dataobj), image.affine), path)
    return clean, (f"{image.shape[3]} frames averaged, all weighted alike", *notes)


def _mask(mask: ImageLike, reference: nib.Nifti1Image) -> nib.Nifti1Image:
    image, _ = _read(mask, _MASK)
    if not grid_of(image).equals(grid_of(reference), _SAME_GRID_MM):
        raise ImageError(f"{_name(mask, _MASK)}: not on the voxels of the fixed image; resample it with order 0")
    return new_image((np.asanyarray(image.dataobj) > 0).astype(np.uint8), reference.affine)


@contextmanager
def _named(name: str) -> Iterator[None]:
    """An ImageError of the block says which image it is about."""
    try:
        yield
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from error
