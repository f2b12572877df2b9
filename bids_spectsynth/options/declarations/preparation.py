"""Options of the preparation of images."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from bids_spectsynth.options.choices import (
    BackendChoice,
    CoregInit,
    FlirtCost,
    FlirtSpect,
    FslRunner,
    Switch,
    TemplateAffine,
)
from bids_spectsynth.options.declarations.groups import PREPARATION
from bids_spectsynth.options.declare import flag, option
from bids_spectsynth.options.ranges import image_name, some, within
from bids_spectsynth.options.spaces import T1W_SPACE, parse_space, parse_spaces

#: Options that the fsl backend alone has.
_OF_FSL = frozenset(
    {"bet_fractional_intensity", "bet_robust", "bet_pet", "flirt_cost", "flirt_spect", "fsl_runner", "fsl_image"}
)


def _read_spaces(value: Any) -> tuple[str, ...]:
    return parse_spaces([value] if isinstance(value, str) else value)


@dataclass(frozen=True, kw_only=True)
class PreparationOptions:
    """How images are prepared; the voxel size is with the options of training, as models depend on it."""

    output_spaces: tuple[str, ...] = field(
        default=(T1W_SPACE,),
        metadata=option(
            PREPARATION,
            "T1w (each head's own space) and TemplateFlow templates as NAME[:cohort-X][:res-Y], e.g. MNI152NLin6Sym "
            "or MNIPediatricAsym:cohort-3 ({default})",
            "`T1w` (each head's own space) and templates, `NAME[:cohort-X][:res-Y]`; a model of each in each space "
            "[`{default}`]. See [Templates](#templates-and-resolutions)",
            metavar="SPACE",
            read=_read_spaces,
            check=some("space"),
        ),
    )
    backend: BackendChoice = field(
        default="auto",
        metadata=option(
            PREPARATION,
            "registration and brain extraction (auto: FSL if it is installed or --fsl-runner starts it)",
            "who registers and extracts brains [FSL if it is installed or `--fsl-runner` starts it]",
        ),
    )
    bet_fractional_intensity: float = field(
        default=0.5,
        metadata=option(
            PREPARATION,
            "-f of FSL's BET: smaller, larger brains ({default})",
            "`-f` of FSL's BET, 0 to 1; smaller values give larger brains [{default}]",
            metavar="F",
            check=within(0, 1),
        ),
    )
    bet_robust: Switch = field(
        default="on",
        metadata=option(
            PREPARATION,
            "-R of FSL's BET, for MR images ({default})",
            "`-R` of FSL's BET, for MR images; never for PET [`{default}`]",
        ),
    )
    bet_pet: Switch = field(
        default="off",
        metadata=option(
            PREPARATION,
            "mask PET by a mask of its own from FSL's BET, as the article did, not by the T1w's ({default})",
            "mask PET by a mask of its own from FSL's BET, as the article did; `off`: by the T1w's mask, which was "
            "closer to the truth [`{default}`]",
        ),
    )
    flirt_cost: FlirtCost = field(
        default="auto",
        metadata=option(
            PREPARATION,
            "cost function of FSL's FLIRT (auto: normmi for PET, corratio for all else)",
            "cost function of FSL's FLIRT [`normmi` for PET, `corratio` for all else]",
        ),
    )
    flirt_spect: FlirtSpect = field(
        default="whole",
        metadata=option(
            PREPARATION,
            "give FSL's FLIRT the SPECT as it is, or its brain alone ({default})",
            "what FSL's FLIRT gets of a SPECT: all of it, or what lies in its mask [`{default}`]",
        ),
    )
    fsl_runner: FslRunner = field(
        default="local",
        metadata=option(PREPARATION, "where FSL is: installed here, or in a container ({default})"),
    )
    fsl_image: str | None = field(
        default=None,
        metadata=option(
            PREPARATION,
            "container image with FSL, or a .sif file for singularity (brainlife/fsl:6.0.4-patched2)",
            "container image with FSL; for `singularity` also a `.sif` file [`brainlife/fsl:6.0.4-patched2`]",
            metavar="IMAGE",
            check=image_name,
        ),
    )
    coreg_init: CoregInit = field(
        default="auto",
        metadata=option(
            PREPARATION,
            "start of the registration: several ({default}), the headers, or identity: images are already aligned",
            "where registration starts: several places, the headers; or no registration [`{default}`]",
        ),
    )

    template_affine: TemplateAffine = field(
        default="auto",
        metadata=option(
            PREPARATION,
            "register the T1w to a template where no output space asks for one (auto: where something reads it)",
            "register the T1w to a template where no output space asks for one [where something reads it, see "
            "[On demand](#the-affine-to-a-template-on-demand)]",
        ),
    )

    @property
    def spaces(self) -> tuple[str, ...]:
        """The output spaces by the labels that file names, models and tables bear."""
        return tuple(parse_space(space).label for space in self.output_spaces)

    @property
    def templates(self) -> tuple[str, ...]:
        """The output spaces that are templates, as they are asked for."""
        return tuple(space for space in self.output_spaces if space != T1W_SPACE)

    @property
    def fsl_options(self) -> tuple[str, ...]:
        """Options of FSL, as the command line spells them, whose value is not the default."""
        changed = (f for f in dataclasses.fields(self) if f.name in _OF_FSL and getattr(self, f.name) != f.default)
        return tuple(flag(f.name) for f in changed)
