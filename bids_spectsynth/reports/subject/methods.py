"""The methods text of a subject's report, written from the sidecars of its files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bids_spectsynth.bids.output_files import image_cards
from bids_spectsynth.bids.roles import role_of
from bids_spectsynth.bids.sidecars import read_object
from bids_spectsynth.bids.transforms import Transform
from bids_spectsynth.evaluation.case.metrics import METRICS
from bids_spectsynth.reports.subject.scanners import SCAN_KEYS, scan_details
from bids_spectsynth.reports.subject.siscom.methods import siscom_paragraph
from bids_spectsynth.synthesis.data.orientation import ORIENTATIONS, slice_size

#: Metrics of the article, which the text explains.
_ARTICLE = ("rmse", "ssim", "psnr")
_DOI = "https://doi.org/"
#: Works that a methods text may cite, with their DOI.
REFERENCES: Mapping[str, tuple[str, str]] = {
    "fard": ("Fard AS, et al. Frontiers in Neurology 2024;15:1383773.", "10.3389/fneur.2024.1383773"),
    "isola": (
        "Isola P, Zhu J-Y, Zhou T, Efros AA. Image-to-image translation with conditional adversarial networks. "
        "CVPR 2017.",
        "10.1109/CVPR.2017.632",
    ),
    "bids": (
        "Gorgolewski KJ, et al. The Brain Imaging Data Structure. Sci Data 2016;3:160044.",
        "10.1038/sdata.2016.44",
    ),
    "pybids": ("Yarkoni T, et al. PyBIDS. J Open Source Softw 2019;4:1294.", "10.21105/joss.01294"),
    "nipype": ("Gorgolewski K, et al. Nipype. Front Neuroinform 2011;5:13.", "10.3389/fninf.2011.00013"),
    "bet": ("Smith SM. Fast robust automated brain extraction. Hum Brain Mapp 2002;17:143-155.", "10.1002/hbm.10062"),
    "flirt": (
        "Jenkinson M, et al. Improved optimization for the linear registration of brain images. "
        "NeuroImage 2002;17:825-841.",
        "10.1006/nimg.2002.1132",
    ),
    "deepbet": ("Fisch L, et al. deepbet. Comput Biol Med 2024;179:108845.", "10.1016/j.compbiomed.2024.108845"),
    "templateflow": ("Ciric R, et al. TemplateFlow. Nat Methods 2022;19:1568-1571.", "10.1038/s41592-022-01681-2"),
    "icbm": (
        "Fonov V, et al. Unbiased average age-appropriate atlases for pediatric studies. NeuroImage 2011;54:313-327.",
        "10.1016/j.neuroimage.2010.07.033",
    ),
    "grabner": (
        "Grabner G, et al. Symmetric atlasing and model based segmentation. MICCAI 2006:58-66.",
        "10.1007/11866763_8",
    ),
    "ssim": (
        "Wang Z, et al. Image quality assessment. IEEE Trans Image Process 2004;13:600-612.",
        "10.1109/TIP.2003.819861",
    ),
}
#: Tools (by the beginning of their name in a sidecar, lower case) and the works that describe them.
_TOOL_REFERENCES = {
    "bet": {"bet"},
    "flirt": {"flirt"},
    "fsl": {"bet", "flirt"},
    "deepbet": {"deepbet"},
}
#: What sidecars of images say of how a model was applied.
OF_THE_IMAGE = ("NumberOfNetworks", *SCAN_KEYS)


@dataclass(frozen=True, eq=False)
class MethodFacts:
    """What a methods text is written from.

    Parameters
    ----------
    version : str
        Of this package.
    anatomy : mapping
        Sidecar of the prepared T1w.
    shape, affine
        Its grid.
    transforms : sequence of Transform
    models : mapping of model label to mapping
        See :func:`described_card`; empty where only preprocessing was done.
    evaluated : bool
        Whether metrics were computed.
    mask : str or None
        URI of the T1w's brain mask, where that was made elsewhere.
    siscom : sequence of (str, mapping)
        Baseline's label and sidecar of the difference map, of each SISCOM.
    """

    version: str
    anatomy: Mapping[str, Any]
    shape: tuple[int, ...]
    affine: npt.NDArray[np.float64]
    transforms: Sequence[Transform]
    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    evaluated: bool = False
    siscom: Sequence[tuple[str, Mapping[str, Any]]] = ()
    mask: str | None = None


def described_card(output_dir: Path, label: str, facts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The card of a model as a methods text needs it: of the networks that made the images, with what was done there.

    Parameters
    ----------
    output_dir : Path
    label : str
        Of the model.
    facts : sequence of mapping
        Sidecars of a participant's images by this model; of several sessions only what is the same in all counts.
    """
    cards = [read_object(path) for path in image_cards(output_dir, label, facts[-1])]
    # What the scans of several networks were is not that of the first.
    differing = {"scans", "harmonised"} if any(one.get("scans") != cards[0].get("scans") for one in cards) else set()
    card = {name: value for name, value in cards[0].items() if name not in differing}
    same = {key for key in OF_THE_IMAGE if all(one.get(key) == facts[-1].get(key) for one in facts)}
    return card | {key: facts[-1][key] for key in sorted(same) if key in facts[-1]}


def methods_text(facts: MethodFacts) -> tuple[list[str], list[tuple[str, str]]]:
    """Paragraphs for the methods section of a manuscript, and the works they cite with links.

    Parameters
    ----------
    facts : MethodFacts

    Returns
    -------
    paragraphs : list of str
        Works are cited by first author and year.
    references : list of (str, str)
        Text and link, in the order of :data:`REFERENCES`; those on SISCOM last.
    """
    tools = collected_tools(facts)
    paragraphs = [_preparation(facts, tools), *_registration(facts)]
    cited = {"fard", "bids", "pybids", "nipype", *_cited_tools(tools)}
    for template in sorted({t.target for t in facts.transforms if t.role == "T1w"}):
        cited |= _template_references(template)
    if facts.models:
        paragraphs.append(_synthesis(facts.models))
        cited.add("isola")
    if facts.evaluated:
        paragraphs.append(
            "Agreement with the measured image was computed for every axial slice that holds brain, on intensities "
            "between -1 and 1, over the whole slice and in the brain where the SPECT was measured (brain mask of the "
            "T1w image and mask of the SPECT): root mean squared error, structural similarity (Gaussian window of "
            f"11 x 11 pixels, sigma 1.5; Wang 2004) and peak signal-to-noise ratio{_further_metrics()}. "
            "Baselines that need no network were computed beside it, fitted to the training participants only."
        )
        cited.add("ssim")
    references = [(f"{text} doi:{doi}", _DOI + doi) for key, (text, doi) in REFERENCES.items() if key in cited]
    if facts.siscom:
        paragraph, further = siscom_paragraph(facts.siscom)
        paragraphs.append(paragraph)
        references += further
    return paragraphs, references


def _further_metrics() -> str:
    """Metrics beyond the article's three, to be added to a list of those; empty where there are none."""
    further = dict.fromkeys(m.title for m in METRICS.values() if m.name.removeprefix("mask_") not in _ARTICLE)
    return f", and further {', '.join(further)}" if further else ""


def collected_tools(facts: MethodFacts) -> dict[str, str]:
    """Tools and versions named in the sidecars."""
    tools: dict[str, str] = {}
    for content in (facts.anatomy, *(transform.sidecar for transform in facts.transforms)):
        named = content.get("Tools")
        if isinstance(named, Mapping):
            tools.update({str(name): str(version) for name, version in named.items()})
    return dict(sorted(tools.items()))


def _cited_tools(tools: Mapping[str, str]) -> set[str]:
    found = (works for tool in tools for key, works in _TOOL_REFERENCES.items() if tool.lower().startswith(key))
    return set().union(*found)


def _template_references(template: str) -> set[str]:
    if template == "MNI152NLin2009aSym":
        # This one comes with nilearn, without TemplateFlow.
        return {"icbm"}
    known = {"MNI152NLin6Sym": "grabner", "MNI152NLin2009cAsym": "icbm"}
    return {"templateflow"} | ({known[template]} if template in known else set())


def _preparation(facts: MethodFacts, tools: Mapping[str, str]) -> str:
    backend = facts.anatomy.get("Backend")
    size = np.sqrt((facts.affine[:3, :3] ** 2).sum(axis=0))
    grid = " x ".join(str(n) for n in facts.shape)
    voxel = f"{size[0]:g} mm" if np.allclose(size, size[0]) else " x ".join(f"{s:g}" for s in size) + " mm"
    named = ", ".join(f"{name} {version}" for name, version in tools.items())
    return (
        f"Images were prepared with bids_spectsynth {facts.version}, which follows Fard 2024, as a Nipype workflow "
        "(Gorgolewski 2011) on data in BIDS (Gorgolewski 2016) read with PyBIDS (Yarkoni 2019)"
        + (f", with the {backend} tools" if backend else "")
        + (f" ({named})" if named else "")
        + f". The T1w image was brain extracted{_by_mask(facts)} and resampled by third-order B-splines to an axial "
        f"grid of {grid} voxels of {voxel}, centred on the brain."
    )


def _by_mask(facts: MethodFacts) -> str:
    return f" by a mask that was made elsewhere ({facts.mask})" if facts.mask else ""


def _registration(facts: MethodFacts) -> list[str]:
    sentences = []
    for transform in facts.transforms:
        metric = f", optimising {transform.metric}" if transform.metric != "n/a" else ""
        if transform.external:
            what = role_of(transform.role).title
            kind = "affine" if transform.role == "T1w" else "rigid"
            sentences.append(
                f"The {kind} transform of the {what} image to {transform.target} was made elsewhere "
                f"({transform.external}) and read with nitransforms."
            )
        elif transform.role == "T1w":
            sentences.append(
                f"The T1w image was registered to {transform.target} by an affine transform of 12 parameters{metric}."
            )
        else:
            sentences.append(f"The {role_of(transform.role).title} was registered to the T1w image rigidly{metric}.")
    if not sentences:
        return []
    unique = list(dict.fromkeys(sentences))
    return [" ".join([*unique, "Each image was resampled once, from its own voxels, through the composed transform."])]


def _synthesis(models: Mapping[str, Mapping[str, Any]]) -> str:
    described = []
    for label, card in models.items():
        inputs = " and ".join(role_of(role).title for role in strings_of(card, "inputs"))
        details = [f"from {inputs}"] if inputs else []
        details += [f"in {card['space']} space"] if card.get("space") else []
        details += [f"with intensities scaled by {card['scaling']}"] if card.get("scaling") else []
        details += [*_crop_details(card), *_recipe_details(card), *scan_details(card)]
        details += _training_details(card)
        described.append(label + (f" ({', '.join(details)})" if details else ""))
    return (
        "Interictal SPECT was synthesised slice by slice by a U-Net, the generator of pix2pix (Isola 2017), in the way "
        f"of Fard 2024: {'; '.join(described)}. Isola 2017 keep "
        "dropout on and normalise by the statistics of the test batch when images are made; here the network was used "
        "in evaluation mode, without dropout and with the statistics of training. A synthetic image is an estimate "
        "from the other images and no measurement of perfusion."
    )


def _crop_details(card: Mapping[str, Any]) -> list[str]:
    config, parts = (card[name] if isinstance(card.get(name), dict) else {} for name in ("config", "architecture"))
    learned, grid = parts.get("slice_shape"), card.get("grid_shape")
    orientation = config.get("orientation", "axial")
    if not isinstance(learned, list) or not isinstance(grid, list) or len(grid) != 3 or orientation not in ORIENTATIONS:
        return []
    i, j, k = grid
    # Networks of an ensemble may have boxes of different sizes: none is named.
    return ["of slices cropped to the brain"] if tuple(learned) != slice_size((i, j, k), orientation) else []


def _recipe_details(card: Mapping[str, Any]) -> list[str]:
    """What is done around the network, and whether it was trained against a discriminator."""
    config, losses = (card[name] if isinstance(card.get(name), dict) else {} for name in ("config", "losses"))
    neighbours, decay = config.get("neighbour_slices"), config.get("ema_decay")
    details = []
    if losses:
        against = bool(losses.get("adversarial"))
        details.append("trained against a patch discriminator" if against else "trained without a discriminator")
    networks = card.get("NumberOfNetworks")
    if isinstance(networks, int) and networks > 1:
        details.append(f"the mean of {networks} networks")
    if neighbours:
        details.append(f"with {neighbours} neighbouring slices on either side")
    if config.get("cohort_prior") not in (None, "none"):
        details.append(f"with the training cohort's mean as a prior ({config['cohort_prior']})")
    if isinstance(config.get("augmentation"), list) and config["augmentation"]:
        details.append(f"augmented by {', '.join(map(str, config['augmentation']))}")
    if decay:
        details.append(f"with weights averaged over steps (decay {decay})")
    if config.get("flip_average") == "on":
        details.append("averaged over the slice and its mirror image")
    if config.get("orientations") not in (None, "axial"):
        details.append(f"from {config.get('orientation', 'axial')} slices, averaged with other orientations")
    return details


def _training_details(card: Mapping[str, Any]) -> list[str]:
    training, losses = (card[name] if isinstance(card.get(name), dict) else {} for name in ("training", "losses"))
    details = []
    if "participants" in training:
        details.append(f"trained on {training['participants']} participants")
    if "best_epoch" in training and "epochs" in training:
        details.append(f"epoch {training['best_epoch']} of {training['epochs']}, the best on validation participants")
    if training.get("ended_by") == "patience":
        details.append(f"ended when {training.get('patience')} epochs had brought none that was better")
    details += _start_details(card)
    weights = [f"{name} {value:g}" for name, value in losses.items() if isinstance(value, int | float) and value]
    return [*details, f"loss weights {', '.join(weights)}"] if weights else details


def _start_details(card: Mapping[str, Any]) -> list[str]:
    """Which model's weights the training started from, and what stayed of them."""
    earlier, config = card.get("initial_models"), card.get("config")
    if not isinstance(earlier, list) or not earlier or not isinstance(earlier[0], dict):
        return []
    simulated = " of simulated heads" if earlier[0].get("phantom") else ""
    frozen = isinstance(config, dict) and config.get("freeze") == "encoder"
    return [f"started from the model {earlier[0].get('label')}{simulated}" + (", its encoder frozen" * frozen)]


def strings_of(card: Mapping[str, Any], key: str) -> list[str]:
    """A list of texts in a model card; empty where the card has no such list."""
    value = card.get(key)
    return [str(item) for item in value] if isinstance(value, list) else []
