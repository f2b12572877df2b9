"""Whether a model can be applied to a case."""

from pathlib import Path

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.errors import ImageError, ModelError, size_text
from bids_spectsynth.images.nifti import READ_ERRORS, stored_shape
from bids_spectsynth.options.spaces import option_of
from bids_spectsynth.synthesis.models.card import ModelCard


def check_fit(card: ModelCard, prepared: PreparedCase, voxel_size: float | None = None) -> None:
    """Refuse a case that the model cannot be applied to.

    Parameters
    ----------
    card : ModelCard
    prepared : PreparedCase
    voxel_size : float, optional
        Of the prepared images, mm; where it is not known, their number of voxels tells.

    Raises
    ------
    ModelError
        Another space, an input is missing, or another grid; says which and what to do.
    """
    model = f"model {card.label}"
    if prepared.space != card.space:
        raise ModelError(
            f"{model} works in space {card.space}, {prepared.name} is in {prepared.space}; "
            f"prepare it with --output-spaces {option_of(card.space)}"
        )
    missing = [role for role in card.inputs if role not in prepared.images]
    if missing:
        raise ModelError(
            f"{model} needs {' and '.join(card.inputs)}, {prepared.name} has no {' and no '.join(missing)}; "
            "use a model of the images that are there"
        )
    if voxel_size not in (None, card.voxel_size):
        raise ModelError(
            f"{model} works on voxels of {card.voxel_size:g} mm, not {voxel_size:g}; "
            f"prepare with --voxel-size {card.voxel_size:g}"
        )
    for role in card.inputs:
        shape = _shape(prepared.images[role])
        if shape != card.grid_shape:
            raise ModelError(
                f"{model} works on a grid of {size_text(card.grid_shape)} voxels, {prepared.images[role]} has "
                f"{size_text(shape)}; "
                f"prepare it with --voxel-size {card.voxel_size:g}"
            )


def _shape(path: Path) -> tuple[int, ...]:
    try:
        return stored_shape(path)
    except READ_ERRORS as error:
        raise ImageError(f"{path}: cannot be read; prepare the participant again") from error
