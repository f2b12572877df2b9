"""Which series is the T1w, the PET, the ictal and the interictal SPECT; all others are left out with a reason."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bids_spectsynth.bids.roles import ICTAL, INTERICTAL, PET, T1W, SpectState
from bids_spectsynth.dicom.importer.states import described_state
from bids_spectsynth.dicom.reading.files import Header, Series
from bids_spectsynth.dicom.reading.kinds import ENHANCED, kind_of
from bids_spectsynth.dicom.reading.numbers import number
from bids_spectsynth.errors import UsageError

#: What ``--series`` may call a series.
ROLES = (T1W, PET, INTERICTAL, ICTAL)
_T1 = re.compile(r"t1|mp ?2?rage|spgr|bravo|3d ?tfe|\btfl\b")
_NOT_T1 = re.compile(r"flair|t2|dwi|dti|swi|bold|perf|localizer|scout")
_CONTRAST = re.compile(r"\b(?:gd|gado\w*|km|contrast|post|\+c|ce)\b")
#: Images of a series that is a whole head.
_LEAST_IMAGES = 30


@dataclass(frozen=True)
class Choice:
    """A series and what it is taken for."""

    role: str
    series: Series


@dataclass(frozen=True)
class Choices:
    """What is taken, and what is left out: the series and the reason."""

    taken: tuple[Choice, ...]
    left_out: tuple[tuple[Series, str], ...]


def choose(
    series: Sequence[Series],
    task: SpectState | None = None,
    named: Mapping[str, str] | None = None,
    *,
    force: bool = False,
) -> Choices:
    """Choose the series to import.

    Parameters
    ----------
    series : sequence of Series
    task : {'ictal', 'interictal'}, optional
        What every SPECT is whose descriptions do not say it.
    named : mapping of str to str, optional
        Roles (:data:`ROLES`) of series by number, with a suffix (``1.2``) where several series of use have it. A role
        that is named is looked for nowhere else.
    force : bool
        Whether ``task`` is right where a description says otherwise.

    Raises
    ------
    UsageError
        Several series could be the same scan, or the state of a SPECT is not known or contradicted.
    """
    named = named or {}
    series = _told_apart(series)
    taken = [Choice(role, _numbered(series, number)) for number, role in named.items()]
    left_out: list[tuple[Series, str]] = []
    candidates: dict[str, list[Series]] = {}
    for one in series:
        if any(choice.series is one for choice in taken):
            continue
        role, reason = _role(one, task, set(named.values()), force=force)
        if role is None:
            left_out.append((one, reason))
        else:
            candidates.setdefault(role, []).append(one)
    for role, own in candidates.items():
        kept, rest = _best(role, own)
        taken.append(Choice(role, kept))
        left_out += rest
    order = {role: place for place, role in enumerate(ROLES)}
    return Choices(tuple(sorted(taken, key=lambda choice: order[choice.role])), tuple(left_out))


def _told_apart(series: Sequence[Series]) -> list[Series]:
    """Series of use that share a number get a suffix, in their order."""
    of_use = {id(one) for one in series if kind_of(one).datatype is not None}
    counts = Counter(one.number for one in series if id(one) in of_use)
    seen: Counter[int] = Counter()
    told = []
    for one in series:
        shared = id(one) in of_use and counts[one.number] > 1
        seen[one.number] += shared
        told.append(replace(one, suffix=f".{seen[one.number]}") if shared else one)
    return told


def _numbered(series: Sequence[Series], name: str) -> Series:
    own = [one for one in series if one.name == name]
    if any(one.suffix and str(one.number) == name for one in series):
        own = []
    found = [one for one in own if kind_of(one).datatype is not None] or own
    if len(found) != 1:
        there = ", ".join(one.title for one in series)
        raise UsageError(f"--series: {len(found)} series have the number {name}; there are {there}")
    kind = kind_of(found[0])
    if kind.datatype is None:
        raise UsageError(f"--series: {found[0].title} cannot be imported: {kind.reason}")
    return found[0]


def _state(series: Series, task: SpectState | None, *, force: bool) -> SpectState | None:
    """The state by its descriptions, and by ``--task`` where they do not say."""
    described = described_state(series)
    if task is None or described in (None, task) or force:
        return task or described
    raise UsageError(
        f"{series.title}: its descriptions say {described}, --task says {task}; name it by --series "
        f"{task}={series.name} or {described}={series.name}, or add --force"
    )


def _role(series: Series, task: SpectState | None, named: set[str], *, force: bool) -> tuple[str | None, str]:
    """The role of a series, or None and why it is left out."""
    kind = kind_of(series)
    if kind.datatype is None:
        return None, kind.reason
    if kind.datatype == "anat":
        role: str | None = T1W if _is_t1w(series) else None
        reason = "not taken for a T1w; if it is, add --series T1w=" + series.name
    elif kind.datatype == "pet":
        role, reason = PET, ""
    else:
        role, reason = _state(series, task, force=force), ""
        if role is None and {ICTAL, INTERICTAL} & named:
            reason = "neither ictal nor interictal by its descriptions, and others are named by --series"
        elif role is None:
            raise UsageError(
                f"{series.title}: ictal or interictal? Its descriptions do not say; add --task, or --series "
                f"ictal={series.name} or interictal={series.name}"
            )
    return (None, "another one is named by --series") if role in named else (role, reason)


def _is_t1w(series: Series) -> bool:
    header = series.first
    text = " ".join(str(header.get(keyword) or "") for keyword in ("SeriesDescription", "ProtocolName")).lower()
    plain = text.replace("_", " ")
    count = int(number(header, "NumberOfFrames") or 1) if header.SOPClassUID in ENHANCED else len(series.headers)
    if count < _LEAST_IMAGES or _NOT_T1.search(plain):
        return False
    return _T1.search(plain) is not None or _weighted_as_t1(header)


def _weighted_as_t1(header: Header) -> bool:
    sequence = {str(value) for value in _several(header.get("ScanningSequence"))}
    echo, repetition = (number(header, keyword) or 1e9 for keyword in ("EchoTime", "RepetitionTime"))
    return "GR" in sequence and header.get("MRAcquisitionType") == "3D" and echo < 10 and repetition < 3000


def _several(value: object) -> list[object]:
    return [] if value is None else [value] if isinstance(value, str) else list(value)  # type: ignore[call-overload]


def _best(role: str, own: Sequence[Series]) -> tuple[Series, list[tuple[Series, str]]]:
    """The one series that is meant, and why the others are not."""
    if len(own) == 1:
        return own[0], []
    if role == T1W:
        worse = [one for one in own if _CONTRAST.search(one.description.lower().replace("_", " "))]
        reason = "with a contrast medium, by its description"
    else:
        worse = [one for one in own if not _is_attenuation_corrected(one.first)]
        reason = "not corrected for attenuation, by its header"
    better = [one for one in own if one not in worse]
    if len(better) != 1:
        names = "; ".join(one.title for one in better or own)
        first = (better or own)[0].name
        raise UsageError(f"each of these could be the {role}: {names}; name one: --series {role}={first}")
    return better[0], [(one, reason) for one in worse]


def _is_attenuation_corrected(header: Header) -> bool:
    corrections = {str(value) for value in _several(header.get("CorrectedImage"))}
    return "ATTN" in corrections or bool(header.get("AttenuationCorrectionMethod"))
