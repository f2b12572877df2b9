"""Metrics of one case: the synthetic SPECT of a model, and the model's baselines, against the real SPECT."""

from pathlib import Path

import numpy as np
import pandas as pd

from bids_spectsynth.bids.cases import INTERICTAL
from bids_spectsynth.bids.derivatives import PreparedCase, output_path, write_table
from bids_spectsynth.errors import ImageError
from bids_spectsynth.evaluation.columns import METRICS_DICTIONARY, NETWORK
from bids_spectsynth.evaluation.metrics import slice_metrics
from bids_spectsynth.preprocess.intensity import slice_block
from bids_spectsynth.synthesis.baselines import Baselines, has_baselines, predict
from bids_spectsynth.synthesis.inference import network_output, synthetic_path
from bids_spectsynth.synthesis.model_folder import ModelCard, load_card
from bids_spectsynth.synthesis.slices import CaseArrays, load_case


def metrics_path(output_dir: Path, prepared: PreparedCase, label: str) -> Path:
    """Where the metric table of a case and a model lies."""
    entities = {"task": INTERICTAL, "space": prepared.space, "desc": label}
    return output_path(output_dir, prepared.participant, prepared.session, "spect", entities, "metrics", ".tsv")


def evaluate_case(prepared: PreparedCase, model_folder: Path, output_dir: Path, data_range: float, split: str) -> Path:
    """Rate a synthetic SPECT and the model's baselines against the real one, slice by slice.

    Parameters
    ----------
    prepared : PreparedCase
        With an interictal SPECT, in the model's space.
    model_folder : Path
        ``models/<label>``; without ``baselines.json`` in it the network is rated alone.
    output_dir : Path
        Holds the synthetic SPECT and takes the table.
    data_range : float
        Range of values for SSIM and PSNR; the images lie in -1 to 1.
    split : str
        ``train``, ``validation``, ``test`` or ``external``.

    Returns
    -------
    Path
        ``..._space-<space>_desc-<model>_metrics.tsv``, with its JSON data dictionary.

    Raises
    ------
    ImageError
        There is no real or no synthetic SPECT, the real one does not overlap with the brain, or an image is damaged or
        on another grid.
    ModelError
        The model card or the baselines cannot be read.
    """
    if INTERICTAL not in prepared.images:
        raise ImageError(f"{prepared.name}: no interictal SPECT to compare with; only the synthetic one is written")
    card = load_card(model_folder)
    # No input channel is needed here but the loader reads at least one.
    arrays = load_case(prepared, card.inputs[:1], card.scaling)
    assert arrays.target is not None
    assert arrays.rated is not None
    if not arrays.rated.any():
        raise ImageError(f"{prepared.name}: its SPECT does not overlap with the brain; look at the registration")
    synthetic = synthetic_path(output_dir, prepared, card.label)
    images = {NETWORK: network_output(synthetic)}
    made, real = images[NETWORK].shape, arrays.target.shape
    if made != real:
        raise ImageError(f"{synthetic}: {made} voxels, the real SPECT has {real}; apply the model again")
    if has_baselines(model_folder):
        images |= predict(Baselines.load(model_folder), prepared)
    tables = [
        slice_metrics(arrays.target, image, arrays.rated, data_range).assign(method=method)
        for method, image in images.items()
    ]
    table = pd.concat(tables, ignore_index=True)
    table = _described(table, prepared, card, arrays).assign(split=split, data_range=data_range)
    path = metrics_path(output_dir, prepared, card.label)
    write_table(path, table[list(METRICS_DICTIONARY)], METRICS_DICTIONARY)
    return path


def _described(table: pd.DataFrame, prepared: PreparedCase, card: ModelCard, arrays: CaseArrays) -> pd.DataFrame:
    """The rows with whose and what they are."""
    # A card that does not tell took all slices.
    block = slice_block(arrays.mask, int(card.config.get("slices_per_subject", arrays.mask.shape[2])))
    return table.assign(
        participant_id=f"sub-{prepared.participant}",
        session_id=f"ses-{prepared.session}" if prepared.session else "n/a",
        z_mm=arrays.affine[2, 2] * table["slice"] + arrays.affine[2, 3],
        in_block=np.where(table["slice"].between(block.start, block.stop - 1), "true", "false"),
        model=card.label,
        inputs="+".join(card.inputs),
        space=prepared.space,
        scaling=card.scaling,
    )
