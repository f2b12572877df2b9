"""What is exported of a case: images and maps of the output folder, with the words that their series say."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bids_spectsynth.bids.output_files import find_synthetic, is_phantom
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.roles import INTERICTAL, T1W, ictal_names, role_of
from bids_spectsynth.bids.sidecars import sidecar
from bids_spectsynth.reports.subject.siscom.facts import baseline_title, is_synthetic
from bids_spectsynth.siscom.outputs.paths import Found, Statistic, find_siscom

#: Values between which maps are shown at first: those of the difference in percent, those of the others in z.
MAP_WINDOWS: dict[Statistic, tuple[float, float]] = {
    "difference": (-30.0, 30.0),
    "z": (-6.0, 6.0),
    "znull": (-6.0, 6.0),
    "zcohort": (-6.0, 6.0),
}


@dataclass(frozen=True)
class Content:
    """A volume to be exported.

    Parameters
    ----------
    name : str
        Of its folder.
    path : Path
        The image.
    title : str
        Of its series, without the word that it begins with.
    derivation : str
    synthetic : bool
        Whether a network or a simulation made it, or what it was computed from.
    window : tuple of float or None
        Values between which it is shown; None for an image of uptake.
    """

    name: str
    path: Path
    title: str
    derivation: str
    synthetic: bool
    window: tuple[float, float] | None = None

    @property
    def units(self) -> str:
        """Of the values, from the sidecar."""
        return str(sidecar(self.path).get("Units") or "arbitrary")


@dataclass(frozen=True)
class Comparison:
    """A SISCOM: its maps, and what its pages, its segments and its summary are made of.

    Parameters
    ----------
    found : Found
    scan, baseline : str
        What was compared, in words.
    short : str
        Begins the titles of its series.
    synthetic : bool
    by_network : bool
        Whether it is the baseline that is synthetic.
    maps : mapping of statistic to Content
    """

    found: Found
    scan: str
    baseline: str
    short: str
    synthetic: bool
    by_network: bool
    maps: dict[Statistic, Content]

    @property
    def name(self) -> str:
        """Begins the names of its folders."""
        return f"{self.found.ictal}_siscom{self.found.label}"

    @property
    def title(self) -> str:
        """What was subtracted from what."""
        return f"{self.scan} minus {self.baseline}"


def source_files(case: PreparedCase, output_dir: Path) -> Iterator[Path]:
    """All images and tables that the series of a case are made of; each has a sidecar.

    Parameters
    ----------
    case : PreparedCase
        In T1w space.
    output_dir : Path
    """
    yield from (case.images[T1W], case.masks[T1W])
    yield from (content.path for content in uptake_images(case, output_dir))
    for comparison in comparisons(case, output_dir):
        yield comparison.found.clusters
        yield from (content.path for content in comparison.maps.values())


def _is_simulated(case: PreparedCase, output_dir: Path) -> bool:
    """Whether the dataset says so, or the scanner's header of one of the scans (``Simulated``)."""
    scans = case.images.values()
    return is_phantom(output_dir) or any(sidecar(path).get("Simulated") is True for path in scans)


def uptake_images(case: PreparedCase, output_dir: Path) -> Iterator[Content]:
    """Synthetic images of a case, its interictal SPECT and its ictal ones, on the T1w.

    Parameters
    ----------
    case : PreparedCase
        In T1w space.
    output_dir : Path
    """
    simulated = _is_simulated(case, output_dir)
    for one in find_synthetic(output_dir, case):
        yield Content(
            name=f"{case.name}_synthetic-{one.model}",
            path=one.path,
            title=f"interictal SPECT {one.model}",
            derivation=f"Interictal SPECT computed by the network {one.model} from other scans of the patient. "
            "It is no measurement and not for diagnosis.",
            synthetic=True,
        )
    for role in (INTERICTAL, *ictal_names(case.images)):
        if role in case.images:
            path = case.images[role]
            yield Content(
                name=path.name.partition("_space-")[0],
                path=path,
                title=f"{role_of(role).title} on T1w",
                derivation=f"{role_of(role).title} registered to the T1w and resampled; 0 outside its brain mask.",
                synthetic=simulated or sidecar(path).get("Synthetic") is True,
            )


def comparisons(case: PreparedCase, output_dir: Path) -> Iterator[Comparison]:
    """The SISCOMs of a case.

    Parameters
    ----------
    case : PreparedCase
        In T1w space.
    output_dir : Path
    """
    simulated = _is_simulated(case, output_dir)
    scans = {case.images[role].name.partition("_space-")[0]: role for role in ictal_names(case.images)}
    for found in find_siscom(output_dir, case.participant):
        role = scans.get(found.ictal)
        if role is None or not found.maps:
            continue
        facts = sidecar(found.maps.get("difference") or next(iter(found.maps.values())))
        by_network = is_synthetic(facts, found.label)
        baseline, scan = baseline_title(facts, found.label), role_of(role).title
        short = f"SISCOM {found.label}" + ("" if len(scans) == 1 else f" {scan}")
        maps = {
            statistic: Content(
                name=f"{found.ictal}_siscom{found.label}_{statistic}",
                path=path,
                title=f"{short} {statistic}",
                derivation=f"{scan} minus {baseline}. {sidecar(path).get('Description', '')}",
                synthetic=simulated or by_network,
                window=MAP_WINDOWS[statistic],
            )
            for statistic, path in found.maps.items()
        }
        yield Comparison(found, scan, baseline, short, simulated or by_network, by_network, maps)
