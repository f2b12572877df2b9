"""Metrics of one case: the synthetic SPECT of a model, and the model's baselines, against the real SPECT."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from bids_spectsynth.bids.cases import INTERICTAL
from bids_spectsynth.bids.prepared import PreparedCase, output_path, write_table
from bids_spectsynth.errors import ImageError
from bids_spectsynth.evaluation.case.metrics import slice_metrics
from bids_spectsynth.evaluation.case.model_identity import model_identity
from bids_spectsynth.evaluation.case.region_tables import regions_path, volume_path, write_case_tables
from bids_spectsynth.evaluation.case.scales import on_one_scale
from bids_spectsynth.evaluation.columns import METRICS_DICTIONARY, NETWORK
from bids_spectsynth.images.intensity import load_image, slice_block
from bids_spectsynth.options.settings import Scaling
from bids_spectsynth.synthesis.baselines.files import baselines_checksum, has_baselines
from bids_spectsynth.synthesis.baselines.fitted import Baselines
from bids_spectsynth.synthesis.baselines.predict import predict
from bids_spectsynth.synthesis.data.slices import CaseArrays, load_case
from bids_spectsynth.synthesis.models.card import ModelCard, load_card
from bids_spectsynth.synthesis.prediction.names import synthetic_path
from bids_spectsynth.synthesis.prediction.reading import network_output

_OTHER_SCALE: dict[Scaling, Scaling] = {"slice": "volume", "volume": "slice"}

Volume = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


def metrics_path(output_dir: Path, prepared: PreparedCase, label: str) -> Path:
    """Where the metric table of a case and a model lies."""
    entities = {"task": INTERICTAL, "space": prepared.space, "desc": label}
    return output_path(output_dir, prepared.participant, prepared.session, "spect", entities, "metrics", ".tsv")


def case_tables(output_dir: Path, prepared: PreparedCase, label: str) -> list[Path]:
    """The tables that :func:`evaluate_case` writes: metrics, regions, volume measures."""
    return [path(output_dir, prepared, label) for path in (metrics_path, regions_path, volume_path)]


def evaluate_case(
    prepared: PreparedCase,
    model_folder: Path,
    output_dir: Path,
    data_range: float,
    split: str,
    label: str | None = None,
    further_folders: Sequence[Path] = (),
) -> Path:
    """Rate a synthetic SPECT and the model's baselines against the real one: by slice, by region, and as a volume.

    Network and baselines are rated on the scale of the model's training, the network also on the other scale: there
    the synthetic image in its units and the unscaled real one are scaled alike. Regions and volumes are rated on
    relative uptake: the network always, baselines if the model is volume-scaled (slices that were scaled one by one
    make no volume).

    Parameters
    ----------
    prepared : PreparedCase
        With an interictal SPECT, in the model's space.
    model_folder : Path
        Of the network that made the image, ``models/<label>`` or a member of an ensemble; without ``baselines.json``
        in it the network is rated alone.
    output_dir : Path
        Holds the synthetic SPECT and takes the table.
    data_range : float
        Range of values for SSIM and PSNR; the images lie in -1 to 1.
    split : str
        ``train``, ``validation``, ``test`` or ``external``.
    label : str, optional
        Of the whole model, which names the image and the table; by default that of the card in ``model_folder``.
    further_folders : sequence of Path
        Of the other networks whose outputs were averaged: their baselines are averaged alike, so that a mean over
        folds is compared with a mean over folds.

    Returns
    -------
    Path
        ``..._space-<space>_desc-<model>_metrics.tsv``, written last; beside it ``..._regions.tsv`` and
        ``..._volume.tsv``, all with JSON data dictionaries.

    Raises
    ------
    ImageError
        There is no real or no synthetic SPECT, the real one does not overlap with the brain, an image is damaged or on
        another grid, or the transform to the template cannot be read.
    ModelError
        The model card or the baselines cannot be read.
    """
    if INTERICTAL not in prepared.images:
        raise ImageError(f"{prepared.name}: no interictal SPECT to compare with; only the synthetic one is written")
    card = load_card(model_folder)
    label = label or card.label
    synthetic = synthetic_path(output_dir, prepared, label)
    images = {NETWORK: network_output(synthetic)}
    # No input channel is needed here but the loader reads at least one.
    arrays = load_case(prepared, card.inputs[:1], card.scaling)
    rated = _checked_overlap(arrays, prepared, images[NETWORK], synthetic)
    images |= _baseline_images((model_folder, *further_folders), prepared)
    real, values = _units(prepared.images[INTERICTAL]), _units(synthetic)
    identity = {**model_identity(prepared, card, model_folder, label), "split": split}
    volumes = {NETWORK: values} | _relative_baselines(images, card)
    write_case_tables(output_dir, prepared, label, identity, volumes, real, rated, arrays.affine)
    rows = _rate(arrays, images, rated, data_range).assign(scale=card.scaling)
    other = _OTHER_SCALE[card.scaling]
    pair = on_one_scale(real, values, arrays.mask, rated, other)
    another = slice_metrics(*pair, rated, data_range).assign(method=NETWORK, scale=other)
    table = _positioned(pd.concat([rows, another], ignore_index=True), card, arrays)
    path = metrics_path(output_dir, prepared, label)
    table = table.assign(**identity, data_range=data_range)[list(METRICS_DICTIONARY)]
    write_table(path, table, METRICS_DICTIONARY)
    return path


def _relative_baselines(images: Mapping[str, Volume], card: ModelCard) -> dict[str, Volume]:
    """Baselines from 0 on, by method; none of a slice-scaled model, because their slices have no common scale."""
    if card.scaling != "volume":
        return {}
    return {method: (image + np.float32(1)) / np.float32(2) for method, image in images.items() if method != NETWORK}


def _checked_overlap(arrays: CaseArrays, prepared: PreparedCase, made: Volume, synthetic: Path) -> Mask:
    """Where the SPECT was measured in the brain, if the synthetic one can be compared with it there."""
    assert arrays.target is not None
    assert arrays.evaluation_mask is not None
    if not arrays.evaluation_mask.any():
        raise ImageError(f"{prepared.name}: its SPECT does not overlap with the brain; look at the registration")
    wanted = arrays.target.shape
    if made.shape != wanted:
        raise ImageError(f"{synthetic}: {made.shape} voxels, the real SPECT has {wanted}; apply the model again")
    return arrays.evaluation_mask


def _rate(arrays: CaseArrays, images: Mapping[str, Volume], rated: Mask, data_range: float) -> pd.DataFrame:
    """Metrics of every method on the scale of the model's training."""
    assert arrays.target is not None
    tables = [slice_metrics(arrays.target, v, rated, data_range).assign(method=name) for name, v in images.items()]
    return pd.concat(tables, ignore_index=True)


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


def _positioned(table: pd.DataFrame, card: ModelCard, arrays: CaseArrays) -> pd.DataFrame:
    """The rows with where their slices lie."""
    # A card that does not tell took all slices.
    block = slice_block(arrays.mask, int(card.config.get("slices_per_subject", arrays.mask.shape[2])))
    inside = table["slice"].between(block.start, block.stop - 1)
    return table.assign(
        z_mm=arrays.affine[2, 2] * table["slice"] + arrays.affine[2, 3],
        in_block=np.where(inside, "true", "false"),
        block_position=(table["slice"] - block.start).where(inside).astype("Int64"),
    )
