"""Options of SISCOM: ictal minus baseline."""

from dataclasses import dataclass, field
from pathlib import Path

from bids_spectsynth.options.choices import SiscomBaseline, SiscomLevel, Switch
from bids_spectsynth.options.declarations.groups import SISCOM
from bids_spectsynth.options.declare import option
from bids_spectsynth.options.ranges import conditions, not_negative, positive, some

ALL_BASELINES: tuple[SiscomBaseline, ...] = ("real", "synthetic", "pet", "cohort", "normals")


@dataclass(frozen=True, kw_only=True)
class SiscomOptions:
    """How an ictal SPECT is compared with a baseline."""

    siscom: Switch = field(
        default="on",
        metadata=option(
            SISCOM, "subtract baselines from the ictal SPECT of everybody who has one, in T1w space ({default})"
        ),
    )
    siscom_baselines: tuple[SiscomBaseline, ...] = field(
        default=ALL_BASELINES,
        metadata=option(
            SISCOM,
            "what is subtracted: the measured interictal, each model's, the PET (PISCOM), the training cohort's mean, "
            "--normals (all that there are)",
            "what is subtracted: the measured interictal SPECT, each model's synthetic one, the PET (PISCOM), the mean "
            "of a model's training cohort, `--normals` [all that there are]",
            metavar="BASELINE",
            check=some("baseline"),
        ),
    )
    siscom_fwhm: float = field(
        default=12.0,
        metadata=option(
            SISCOM,
            "Gaussian that smooths both scans once their resolutions are equal, full width in mm ({default})",
            metavar="MM",
            check=positive,
        ),
    )
    siscom_threshold: float = field(
        default=2.0,
        metadata=option(
            SISCOM,
            "clusters of the z map begin here; usual are 1.5, 2 and 2.5 ({default})",
            metavar="Z",
            check=positive,
        ),
    )
    siscom_extent: float = field(
        default=1.0,
        metadata=option(SISCOM, "smaller clusters are left out, mL ({default})", metavar="ML", check=not_negative),
    )
    siscom_level: SiscomLevel = field(
        default="mode",
        metadata=option(
            SISCOM,
            "what brings both scans to one level: the mode of the voxels' ratio, its mean or median, the voxels that "
            "did not change, the cerebellum ({default})",
        ),
    )
    siscom_gain: Switch = field(
        default="on",
        metadata=option(
            SISCOM,
            "fit a smooth gain, equal on both sides, that takes away what cameras, attenuation and networks differ by "
            "({default})",
        ),
    )
    siscom_trend: Switch = field(
        default="on",
        metadata=option(
            SISCOM,
            "with the synthetic, PET and cohort baselines, take off broad differences, estimated at each point from "
            "the brain more than 28 mm away ({default})",
        ),
    )
    normals: Path | None = field(
        default=None,
        metadata=option(
            SISCOM,
            "BIDS derivatives with the mean, and the standard deviation, of healthy SPECT in a template's space",
            metavar="FOLDER",
        ),
    )
    make_normals: str | None = field(
        default=None,
        metadata=option(
            SISCOM,
            "group level: write OUT/normals from the interictal SPECTs of whoever has the value in participants.tsv",
            metavar="COLUMN=VALUE",
            check=lambda value: conditions((value,)),
        ),
    )
    reader_study: Path | None = field(
        default=None,
        metadata=option(
            SISCOM, "group level: write a blinded reader study to this new folder, its key beside it", metavar="FOLDER"
        ),
    )
    reader_results: Path | None = field(
        default=None,
        metadata=option(SISCOM, "group level: what the readers of a study found", metavar="TSV"),
    )
