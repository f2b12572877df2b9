"""Measures of whole volumes that are summarised and tested over participants beside the metrics of slices."""

from dataclasses import dataclass

from bids_spectsynth.evaluation.case.residual import EDGE_MM, FWHM_MM, SPACING_MM


@dataclass(frozen=True)
class VolumeMeasure:
    """How a synthetic volume agrees with the real one, as one number, and how readers are told.

    Parameters
    ----------
    name : str
        Its column in the table of volume measures.
    title, full_title : str
        For headings.
    description : str
        Of its column, in sentences.
    unit, short_unit : str
    digits : int
        Decimals for reading.
    margin : float
        Largest mean difference that counts as none in a test of equivalence, in its unit.
    """

    name: str
    title: str
    full_title: str
    description: str
    unit: str
    short_unit: str
    digits: int
    margin: float

    @property
    def column_title(self) -> str:
        """Heading of a column: its title with its unit."""
        return f"{self.title} ({self.short_unit})"

    @property
    def label(self) -> str:
        """The same, where metrics of slices say in which region they are taken."""
        return self.column_title


#: The measure that says how well a synthetic image serves as a baseline of SISCOM; lower is better.
BASELINE_SD = VolumeMeasure(
    name="baseline_sd_percent",
    title="Baseline SD",
    full_title="Standard deviation of the smoothed residual",
    description=(
        "Standard deviation of the smoothed residual: what the image as its baseline would add to a SISCOM. Both "
        f"images are smoothed in the evaluation mask ({FWHM_MM:g} mm FWHM; of voxels finer than {SPACING_MM:g} mm "
        "every n-th) and brought to one level by the mode of the voxels' ratio; the standard deviation of real minus "
        f"synthetic is taken over the evaluation mask without the {EDGE_MM:g} mm at its edge, in percent of the brain "
        "mean. Lower is better; two scans of one head without a seizure do not reach 0 either. n/a where the "
        "evaluation mask is too thin or an image has no signal in it."
    ),
    unit="percent of the brain mean",
    short_unit="%",
    digits=2,
    # About a tenth of what was measured for networks: 5 to 8 percent.
    margin=0.5,
)

#: By column of ``*_volume.tsv``. Of all of them less is better.
VOLUME_MEASURES: dict[str, VolumeMeasure] = {measure.name: measure for measure in (BASELINE_SD,)}
