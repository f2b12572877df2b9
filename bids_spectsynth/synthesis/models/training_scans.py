"""New scans beside those that a model learned from: what differs, and how sharper ones are brought to them."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.roles import INTERICTAL, role_of
from bids_spectsynth.bids.sidecars import sidecar
from bids_spectsynth.bids.vocabulary.cameras import same_camera
from bids_spectsynth.options.choices import Harmonise
from bids_spectsynth.synthesis.data.attenuation import same_correction
from bids_spectsynth.synthesis.data.harmonising import LEAST_FACTOR, TOLERANCE, has_width
from bids_spectsynth.synthesis.data.scans import (
    ATTENUATION,
    CAMERA,
    FWHM,
    TRACER,
    UNKNOWN,
    UNLISTED,
    measured_widths,
    scan_facts,
)
from bids_spectsynth.synthesis.data.tracers import same_tracer
from bids_spectsynth.synthesis.models.card import ModelCard

#: Keys of sidecars of synthetic images.
COMPARED, OUTSIDE, NOT_MEASURED = "ComparedWithTraining", "OutsideTraining", "NotMeasured"
INPUT_FWHM, HARMONISED_FWHM, HARMONISING_FWHM = "InputFWHM", "HarmonisedFWHM", "HarmonisingFWHM"
#: Names of a difference.
RESOLUTION = "resolution"
_WORDS = {CAMERA: "camera", TRACER: "tracer", ATTENUATION: "attenuation correction"}
#: How many of the training's cameras or tracers a sentence and a sidecar name: those of the most scans. All of them are
#: in the card.
_MOST_NAMES = 3
#: Scans of one camera lie within this factor of their median (common_width): the 5th percentile too where the measure
#: differs by 11 % between heads, which a factor of TOLERANCE would often take for a second camera.
_ALIKE = TOLERANCE**2
_MEASURED = "the measured SPECT says less of how good the synthetic one is"


@dataclass(frozen=True)
class Difference:
    """Something about a scan that the scans of a model's training did not have.

    Parameters
    ----------
    role : str
        Of the scan.
    file : str
        Name of its prepared image.
    name : str
        ``resolution``, ``camera``, ``tracer`` or ``attenuation_correction``.
    found : float or str
        Of the scan; a resolution in mm (FWHM).
    training : tuple of float or tuple of str
        Resolution of the training's scans from and to (5th and 95th percentile), mm; or what most of them had, three
        names at most.
    sentence : str
        What it means, and what to do.
    """

    role: str
    file: str
    name: str
    found: float | str
    training: tuple[float, float] | tuple[str, ...]
    sentence: str

    def as_json(self) -> dict[str, Any]:
        """As sidecars have it."""
        return asdict(self)


def records_scans(cards: Sequence[ModelCard]) -> bool:
    """Whether the cards of all networks of a model say which scans these learned from; earlier versions did not."""
    return all(card.scans for card in cards)


def input_widths(cards: Sequence[ModelCard], option: Harmonise) -> dict[str, float]:
    """The resolutions (FWHM, mm) to which sharper inputs of a model are smoothed, by role.

    Parameters
    ----------
    cards : sequence of ModelCard
        Of the networks that make an image; their median counts.
    option : {'none', 'resolution'}
        ``--harmonise`` of the run that applies them. Networks that were trained with it are applied with it always.

    Returns
    -------
    dict of str to float
        Of a training with harmonised inputs their common resolution; else, with ``resolution``, the median of the
        training's scans; empty where nothing is smoothed.
    """
    found: dict[str, list[float]] = {}
    for card in cards:
        own = dict(card.harmonised)
        if option == RESOLUTION and not own and card.config.get("harmonise", "none") == "none":
            own = {role: one[FWHM]["median"] for role, one in card.scans.items() if FWHM in one}
        for role in card.inputs:
            if role in own and has_width(role):
                found.setdefault(role, []).append(float(own[role]))
    return {role: round(float(np.median(widths)), 2) for role, widths in found.items()}


def learned_from_several(cards: Sequence[ModelCard], targets: Mapping[str, float]) -> list[str]:
    """What deserves a look where ``--harmonise`` meets networks that know sharper scans than their training's median.

    Parameters
    ----------
    cards : sequence of ModelCard
    targets : mapping of str to float
        Of :func:`input_widths`.

    Returns
    -------
    list of str
        A sentence without a full stop for each input whose training had scans of several resolutions; none of networks
        that were trained with harmonised inputs.
    """
    found = []
    for role, width in targets.items():
        ranges = [card.scans[role][FWHM] for card in cards if not card.harmonised and _is_recorded([card], role)]
        sharpest = min((float(one["p5"]) for one in ranges if one["p5"] * _ALIKE < one["median"]), default=None)
        if sharpest is not None:
            found.append(
                f"learned from {role_of(role).title} images of several resolutions (5 % of {sharpest:.1f} mm or less); "
                f"--harmonise smooths those that it knows too, to {width:.1f} mm; train with --harmonise {RESOLUTION}"
            )
    return found


def compared_roles(cards: Sequence[ModelCard], case: PreparedCase) -> list[str]:
    """The scans of a case that are held against those of the training: its inputs, and an interictal SPECT."""
    roles = [role for role in cards[0].inputs if role in case.images]
    return [*roles, *([INTERICTAL] if INTERICTAL in case.images and not case.is_state_assumed else [])]


def comparison_basis(cards: Sequence[ModelCard], case: PreparedCase) -> list[Any]:
    """What the comparison of a case rests on beside its images: another basis makes what was said of it outdated.

    Parameters
    ----------
    cards : sequence of ModelCard
        Of the networks that make the image.
    case : PreparedCase

    Returns
    -------
    list
        Checksum of the cards' records of training scans, and what the sidecars say of the case's; empty where no card
        records anything, so that nothing is compared.
    """
    if not any(card.scans for card in cards):
        return []
    text = json.dumps([card.scans for card in cards], sort_keys=True, default=str)
    own = {role: scan_facts(sidecar(case.images[role]), role) for role in compared_roles(cards, case)}
    return [hashlib.sha256(text.encode()).hexdigest(), own]


def differences(
    cards: Sequence[ModelCard], case: PreparedCase, widths: Mapping[str, float] | None = None
) -> tuple[Difference, ...]:
    """What the scans of a case have that those of a model's training did not: resolution, tracer, camera, correction.

    Parameters
    ----------
    cards : sequence of ModelCard
        Of the networks that make the image.
    case : PreparedCase
        Its inputs as the networks see them: what was smoothed to the training's resolution is not too sharp any more.
        Its interictal SPECT, where it has one that is known to be interictal, is compared too.
    widths : mapping of str to float, optional
        Resolutions of its scans (FWHM, mm), where they have been measured already.

    Returns
    -------
    tuple of Difference
        Empty where nothing differs, and where the cards or the sidecars do not say. A resolution that cannot be
        measured is not compared, with a warning where that is for a damaged file.
    """
    roles = compared_roles(cards, case)
    widths = measured_widths(case, roles) if widths is None else widths
    found: list[Difference] = []
    for role in roles:
        known = [card.scans[role] for card in cards if role in card.scans]
        if not known:
            continue
        scan = role, case.images[role].name
        found += _resolution(scan, widths.get(role, float("nan")), known, is_smoothed=role in case.smoothing)
        for name, value in scan_facts(sidecar(case.images[role]), role).items():
            found += _category(scan, name, value, known)
    return tuple(found)


def scan_entries(cards: Sequence[ModelCard], case: PreparedCase, targets: Mapping[str, float]) -> dict[str, Any]:
    """What the sidecar of a synthetic image says of the scans that it was made from.

    Parameters
    ----------
    cards : sequence of ModelCard
        Of the networks that make the image.
    case : PreparedCase
        Harmonised to ``targets``.
    targets : mapping of str to float
        Of :func:`input_widths`.

    Returns
    -------
    dict
        ``ComparedWithTraining``, ``OutsideTraining`` where something differs, ``InputFWHM``, and where inputs are
        harmonised ``HarmonisedFWHM`` and ``HarmonisingFWHM``, the Gaussian of each (mm, 0 where it stayed as it was).
        What cannot be measured is left out of these; ``NotMeasured`` has the roles of which the resolution was needed,
        or could be measured of most scans of the training.
    """
    compared = records_scans(cards)
    entries: dict[str, Any] = {COMPARED: compared}
    if not compared and not targets:
        return entries
    measured = measured_widths(case, compared_roles(cards, case))
    widths = {role: round(width, 2) for role, width in measured.items() if role in cards[0].inputs}
    if widths:
        entries[INPUT_FWHM] = widths
    if targets:
        entries[HARMONISED_FWHM] = dict(targets)
        kernels = {role: round(case.smoothing.get(role, 0.0), 2) for role in targets if role in measured}
        entries |= {HARMONISING_FWHM: kernels} if kernels else {}
    needed = [role for role in compared_roles(cards, case) if role in targets or _is_usual(cards, role)]
    unknown = [role for role in needed if role not in measured]
    # A PET that is too sharp to be measured is no one that is like the others.
    entries |= {NOT_MEASURED: unknown} if unknown else {}
    found = differences(cards, case, measured)
    return entries | ({OUTSIDE: [one.as_json() for one in found]} if found else {})


def _is_recorded(cards: Sequence[ModelCard], role: str) -> bool:
    """Whether a resolution of the training's scans is known, with which one could be compared."""
    return any(FWHM in card.scans.get(role, {}) for card in cards)


def _is_usual(cards: Sequence[ModelCard], role: str) -> bool:
    """Whether the resolution of most of the training's scans could be measured; else one that cannot is like them."""
    own = [card.scans[role] for card in cards if role in card.scans]
    measured = sum(int(one.get(FWHM, {}).get("n", 0)) for one in own)
    return 2 * measured > sum(int(one.get("scans", 0)) for one in own)


def _resolution(
    scan: tuple[str, str], width: float, known: Sequence[Mapping[str, Any]], *, is_smoothed: bool
) -> list[Difference]:
    ranges = [one[FWHM] for one in known if FWHM in one]
    if not ranges or not np.isfinite(width):
        return []
    low, high = min(float(one["p5"]) for one in ranges), max(float(one["p95"]) for one in ranges)
    # Few scans do not show how much the measure differs between heads: their middle is taken to.
    middle = [float(one["median"]) for one in ranges]
    least = min(low, min(middle) / TOLERANCE) / LEAST_FACTOR
    most = max(high, max(middle) * TOLERANCE) * LEAST_FACTOR
    role, file = scan
    what = f"the {role_of(role).sentence}"
    numbers = f"({width:.1f} mm; theirs {low:.1f} to {high:.1f} mm)"
    if width > most:
        hint = "it cannot be sharpened: trust no detail, or train with such scans too"
        hint = _MEASURED if role == INTERICTAL else hint
        sentence = f"{what} is more blurred than those that the model learned from {numbers}; {hint}"
    elif width < least and not is_smoothed:
        hint = _MEASURED if role == INTERICTAL else "use --harmonise resolution"
        sentence = f"{what} is sharper than those that the model learned from {numbers}; {hint}"
    else:
        return []
    return [Difference(role, file, RESOLUTION, round(width, 2), (low, high), sentence)]


def _category(scan: tuple[str, str], name: str, value: str, known: Sequence[Mapping[str, Any]]) -> list[Difference]:
    """A tracer, camera or correction that the training did not have; what nobody recorded is not compared."""
    role, file = scan
    counts = Counter[str]()
    for own in known:
        counts.update({one: n for one, n in own.get(name, {}).items() if not _is_unknown(one)})
    # Of two names that the program does not know it cannot tell whether they are one.
    is_unlisted = value == UNLISTED
    theirs = tuple(one for one, _ in counts.most_common() if one != UNLISTED)
    if _is_unknown(value) or not theirs or (is_unlisted and UNLISTED in counts):
        return []
    if not is_unlisted and any(_alike(name, value, one) for one in theirs):
        return []
    named = ", ".join(theirs[:_MOST_NAMES]) + (", ..." if len(theirs) > _MOST_NAMES else "")
    hint = _MEASURED if role == INTERICTAL else "rate images of some such scans before you use others"
    shown = "on no list of the program's; is it spelled right?" if is_unlisted else value
    sentence = (
        f"the {_WORDS[name]} of the {role_of(role).sentence} ({shown}) is none of those that the model learned from "
        f"({named}); {hint}"
    )
    return [Difference(role, file, name, value, theirs[:_MOST_NAMES], sentence)]


def _alike(name: str, one: str, other: str) -> bool:
    if name == TRACER:
        return same_tracer(one, other)
    if name == CAMERA:
        return same_camera(one, other)
    return same_correction(one, other)


def _is_unknown(text: str) -> bool:
    return text.strip().lower() in {"", UNKNOWN, "na", "unknown"}
