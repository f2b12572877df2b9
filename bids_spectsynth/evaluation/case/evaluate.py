"""Metrics of one case: the synthetic SPECT of a model, and the model's baselines, against the real SPECT."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from bids_spectsynth.bids.output_files import rating_path, synthetic_path
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.roles import INTERICTAL
from bids_spectsynth.bids.writing import write_table
from bids_spectsynth.errors import ImageError, size_text
from bids_spectsynth.evaluation.case.metrics import slice_metrics
from bids_spectsynth.evaluation.case.model_identity import model_identity
from bids_spectsynth.evaluation.case.region_tables import write_case_tables
from bids_spectsynth.evaluation.case.scales import beside_lesion, on_one_scale
from bids_spectsynth.evaluation.case.slice_columns import slice_dictionary
from bids_spectsynth.evaluation.columns import LESION_KEY, NETWORK
from bids_spectsynth.images.reading import load_image
from bids_spectsynth.options.settings import Scaling
from bids_spectsynth.synthesis.baselines.files import baselines_checksum, has_baselines
from bids_spectsynth.synthesis.baselines.fitted import Baselines
from bids_spectsynth.synthesis.baselines.predict import predict
from bids_spectsynth.synthesis.data.scaling import apply_scaling, scaling_coefficients, slice_block
from bids_spectsynth.synthesis.data.slices import lesion_mask, load_case
from bids_spectsynth.synthesis.models.card import ModelCard, load_card
from bids_spectsynth.synthesis.prediction.reading import network_output

_OTHER_SCALE: dict[Scaling, Scaling] = {"slice": "volume", "volume": "slice"}

#: A slice is rated where no less of its evaluation mask lies outside a lesion that is left out.
LEAST_LEFT = 0.5

Volume = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


def evaluate_case(
    prepared: PreparedCase,
    model_folder: Path,
    output_dir: Path,
    data_range: float,
    split: str,
    label: str | None = None,
    further_folders: Sequence[Path] = (),
    card: ModelCard | None = None,
) -> Path:
    """Rate a synthetic SPECT and the model's baselines against the real one: by slice, by region, and as a volume.

    Slices of network and baselines are rated on the scale of the model's training, those of the network also on the
    other scale. Regions and volumes: on relative uptake, the network always, baselines of a volume-scaled model.

    Parameters
    ----------
    prepared : PreparedCase
        With an interictal SPECT, in the model's space. In its lesion mask, if any, both images are background.
    model_folder : Path
        Of the network that made the image; without ``baselines.json`` in it the network is rated alone.
    output_dir : Path
        Holds the synthetic SPECT and takes the tables.
    data_range : float
        Range of values for SSIM and PSNR; the images lie in -1 to 1.
    split : str
        ``train``, ``validation``, ``test`` or ``external``.
    label : str, optional
        Of the whole model, which names the image and the tables; by default that of the card in ``model_folder``.
    further_folders : sequence of Path
        Of the other networks whose outputs were averaged: their baselines are averaged alike.
    card : ModelCard, optional
        That of ``model_folder``, where it has been read already.

    Returns
    -------
    Path
        The first of :func:`case_tables`, written last; all with JSON data dictionaries.

    Raises
    ------
    ImageError
        There is no real or no synthetic SPECT, the real one does not overlap with the brain, an image is damaged or on
        another grid, or the transform to the template cannot be read.
    ModelError
        The model card or the baselines cannot be read.
    """
    card = card or load_card(model_folder)
    label = label or card.label
    case = _read_case(prepared, card, synthetic_path(output_dir, prepared, label))
    outputs = {NETWORK: case.output} | case.baselines((model_folder, *further_folders), prepared)
    identity = {**model_identity(prepared, card, model_folder, label), "split": split}
    volumes = {NETWORK: case.synthetic} | _relative_baselines(outputs, card)
    write_case_tables(
        output_dir, prepared, label, identity, volumes, case.real, case.evaluation_mask, case.affine, case.facts
    )
    table = _rate_slices(case, outputs, card, data_range).assign(**identity, data_range=data_range)
    path = rating_path(output_dir, prepared, label, "metrics")
    write_table(path, table[list(slice_dictionary())], slice_dictionary(), case.facts, recorded=True)
    return path


@dataclass(frozen=True, eq=False)
class _RatedCase:
    """The images of a case that are compared, shape (I, J, K), with their affine.

    ``target`` and ``output`` are the real SPECT and the network's output on the scale of its training, ``real`` and
    ``synthetic`` the same in their own units; ``mask`` is the brain, ``evaluation_mask`` where the SPECT was measured
    in it. ``lesion``, where there is one, is background in the images and no part of ``evaluation_mask``; ``touched``
    is the part of it where the SPECT was measured.
    """

    target: Volume
    output: Volume
    real: Volume
    synthetic: Volume
    mask: Mask
    evaluation_mask: Mask
    affine: npt.NDArray[np.float64]
    lesion: Mask | None = None
    touched: Mask | None = None

    @property
    def rated(self) -> Mask:
        """The evaluation mask in the slices that are rated: those that a lesion has left enough of."""
        if self.touched is None:
            return self.evaluation_mask
        left, gone = (np.count_nonzero(one, axis=(0, 1)) for one in (self.evaluation_mask, self.touched))
        return np.asarray(self.evaluation_mask & (left >= LEAST_LEFT * (left + gone)))

    @property
    def facts(self) -> dict[str, bool]:
        """What the JSON files of the tables say."""
        return {} if self.lesion is None else {LESION_KEY: True}

    def baselines(self, folders: Sequence[Path], prepared: PreparedCase) -> dict[str, Volume]:
        """The baselines of networks, as :func:`_baseline_images` has them, with background in the lesion."""
        found = _baseline_images(folders, prepared)
        return {name: self.without_lesion(image, -1) for name, image in found.items()}

    def without_lesion(self, image: Volume, background: float) -> Volume:
        """An image on the grid of the case with background in the lesion."""
        return image if self.lesion is None else np.where(self.lesion, np.float32(background), image)


def _read_case(prepared: PreparedCase, card: ModelCard, synthetic: Path) -> _RatedCase:
    if INTERICTAL not in prepared.images:
        raise ImageError(f"{prepared.name}: no interictal SPECT to compare with; only the synthetic one is written")
    output = network_output(synthetic)
    # No input channel is needed here but the loader reads at least one.
    arrays = load_case(prepared, card.inputs[:1], card.scaling)
    assert arrays.target is not None
    assert arrays.evaluation_mask is not None
    if not arrays.evaluation_mask.any():
        raise ImageError(f"{prepared.name}: its SPECT does not overlap with the brain; look at the registration")
    if output.shape != arrays.target.shape:
        raise ImageError(
            f"{synthetic}: {size_text(output.shape)} voxels, the real SPECT has {size_text(arrays.target.shape)}; "
            "apply the model again"
        )
    real = _units(prepared.images[INTERICTAL])
    found = _RatedCase(
        arrays.target, output, real, _units(synthetic), arrays.mask, arrays.evaluation_mask, arrays.affine
    )
    lesion = lesion_mask(prepared, arrays.mask.shape)
    return found if lesion is None else _without_lesion(found, lesion, prepared, card)


def _without_lesion(case: _RatedCase, lesion: Mask, prepared: PreparedCase, card: ModelCard) -> _RatedCase:
    """The images as they are rated without a lesion: scaled by what lies outside of it, and background in it."""
    measured = case.evaluation_mask
    case = replace(case, lesion=lesion, touched=measured & lesion, evaluation_mask=measured & ~lesion)
    if not case.rated.any():
        raise ImageError(f"{prepared.lesion}: covers all of the brain that the SPECT shows, or more than half of it in "
                         "every slice; nothing can be rated")  # fmt: skip
    real = case.without_lesion(case.real, 0)
    return replace(
        case,
        target=apply_scaling(real, *scaling_coefficients(real, case.mask & ~lesion, card.scaling)),
        output=case.without_lesion(case.output, -1),
        real=real,
        synthetic=case.without_lesion(case.synthetic, 0),
    )


def _rate_slices(case: _RatedCase, outputs: Mapping[str, Volume], card: ModelCard, data_range: float) -> pd.DataFrame:
    """Metrics of every method on the scale of the model's training, and of the network on the other one."""
    tables = []
    for name, output in outputs.items():
        if case.touched is not None:
            output = beside_lesion(case.target, output, case.touched, case.evaluation_mask, card.scaling)
        found = slice_metrics(case.target, output, case.rated, data_range)
        tables.append(found.assign(method=name, scale=card.scaling))
    other = _OTHER_SCALE[card.scaling]
    mask = case.mask if case.lesion is None else case.mask & ~case.lesion
    pair = on_one_scale(case.real, case.synthetic, mask, case.evaluation_mask, other)
    tables.append(slice_metrics(*pair, case.rated, data_range).assign(method=NETWORK, scale=other))
    return _positioned(pd.concat(tables, ignore_index=True), card, case)


def _relative_baselines(images: Mapping[str, Volume], card: ModelCard) -> dict[str, Volume]:
    """Baselines from 0 on, by method; none of a slice-scaled model, because their slices have no common scale."""
    if card.scaling != "volume":
        return {}
    return {method: (image + np.float32(1)) / np.float32(2) for method, image in images.items() if method != NETWORK}


def _units(path: Path) -> Volume:
    """An image in its own units."""
    return np.asarray(load_image(path)[0].dataobj, dtype=np.float32)


def _baseline_images(folders: Sequence[Path], prepared: PreparedCase) -> dict[str, Volume]:
    """Baselines of the networks that made an image, averaged; networks of one training cohort share theirs."""
    own = {baselines_checksum(folder): folder for folder in folders if has_baselines(folder)}
    found = [predict(Baselines.load(folder), prepared) for folder in own.values()]
    if not found:
        return {}
    names = [name for name in found[0] if all(name in images for images in found)]
    return {name: np.mean([images[name] for images in found], axis=0, dtype=np.float32) for name in names}


def _positioned(table: pd.DataFrame, card: ModelCard, case: _RatedCase) -> pd.DataFrame:
    """The rows with where their slices lie."""
    # A card that does not tell took all slices.
    block = slice_block(case.mask, int(card.config.get("slices_per_subject", case.mask.shape[2])))
    inside = table["slice"].between(block.start, block.stop - 1)
    return table.assign(
        z_mm=case.affine[2, 2] * table["slice"] + case.affine[2, 3],
        in_block=np.where(inside, "true", "false"),
        block_position=(table["slice"] - block.start).where(inside).astype("Int64"),
    )
