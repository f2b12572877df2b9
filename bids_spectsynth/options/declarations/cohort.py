"""Options of who trains, how many networks, and how the models are evaluated."""

import contextlib
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from bids_spectsynth.options.declarations.groups import COHORT, EVALUATION, RECIPE, SYNTHESIS
from bids_spectsynth.options.declarations.margins import read_margins, write_margins
from bids_spectsynth.options.declare import option
from bids_spectsynth.options.ranges import conditions, not_negative, parts, positive, zero_or_at_least

#: The way of telling how far a synthetic image is from the truth that rests on held-out participants.
CALIBRATED: Literal["calibrated"] = "calibrated"
#: That, or a number of samples; 0 for none.
Uncertainty = int | Literal["calibrated"]


#: Folds of a cross-validation by the site of the scans.
BY_SITE: Literal["site"] = "site"
#: That, or a number of folds; 0 for none.
CrossValidation = int | Literal["site"]


def _read_folds(value: Any) -> CrossValidation:
    if value == BY_SITE:
        return BY_SITE
    number = math.nan
    with contextlib.suppress(ValueError, TypeError):
        number = math.nan if isinstance(value, bool) else float(value)
    if not number.is_integer():
        raise ValueError(f"{BY_SITE} or a whole number needed")
    return int(number)


def _folds(value: CrossValidation) -> str | None:
    if value == BY_SITE:
        return None
    least = zero_or_at_least(3, "3 folds at least (one held out, one to choose the epoch, one to train on)")
    return least(int(value))


def _column(value: str) -> str | None:
    return None if value.strip() else "the name of a column needed"


def _read_uncertainty(value: Any) -> Uncertainty:
    if value == CALIBRATED:
        return CALIBRATED
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except ValueError:
        number = math.nan
    if not number.is_integer():
        raise ValueError(f"{CALIBRATED} or a whole number needed")
    samples = int(number)
    if wrong := zero_or_at_least(2, "2 samples at least")(samples):
        raise ValueError(wrong)
    return samples


@dataclass(frozen=True, kw_only=True)
class CohortOptions:
    """Who trains, and how many networks."""

    slices_per_subject: int | None = field(
        default=None,
        metadata=option(
            SYNTHESIS,
            "training slices of a subject (100 at 1 mm)",
            "training slices: the block with the most brain [100 at 1 mm, the same height at others]",
            metavar="N",
            check=positive,
        ),
    )
    ensemble_members: int = field(
        default=1,
        metadata=option(
            RECIPE, "networks of different seeds, averaged ({default})", metavar="N", check=positive, presets={}
        ),
    )
    study: str | None = field(
        default=None,
        metadata=option(
            COHORT,
            "fard2024: the article's twelve models, in T1w and the template of --output-spaces, else "
            "MNI152NLin2009aSym (the article's is MNI152NLin6Sym); or a file with a grid of models",
            "`fard2024`: the article's twelve models; or a file with a grid of models ([below](#studies))",
            metavar="NAME|TOML",
        ),
    )
    split: tuple[float, float, float] = field(
        default=(30.0, 6.0, 12.0),
        metadata=option(
            COHORT,
            "proportions ({default})",
            "proportions of participants [{default}]",
            metavar=("TRAIN", "VALIDATION", "TEST"),
            check=parts("proportions"),
        ),
    )
    split_counts: tuple[int, int, int] | None = field(
        default=None,
        metadata=option(
            COHORT,
            "numbers of participants; who is left over takes no part",
            metavar=("TRAIN", "VALIDATION", "TEST"),
            check=parts("participants"),
        ),
    )
    split_file: Path | None = field(
        default=None,
        metadata=option(
            COHORT,
            "participant_id and split (train, validation, test) instead",
            "`participant_id` and `split` (`train`, `validation`, `test`, `n/a`) instead",
            metavar="TSV",
        ),
    )
    hold_out: tuple[str, ...] = field(
        default=(),
        metadata=option(
            COHORT,
            "participants.tsv of the dataset: who has the value is never trained on, e.g. resection=yes",
            "who has the value in the dataset's `participants.tsv` is never trained on",
            metavar="COLUMN=VALUE",
            check=conditions,
        ),
    )
    cross_validate: CrossValidation = field(
        default=0,
        metadata=option(
            COHORT,
            "K models, each on other participants; all are held out once. site: one model for each site, which holds "
            "its participants out",
            "K networks per model, 3 or more, each on other participants; everybody is held out once. `site`: one for "
            "each site, in alphabetical order, that holds out all of its participants",
            metavar="K|site",
            read=_read_folds,
            check=_folds,
        ),
    )
    site_column: str = field(
        default="site",
        metadata=option(
            COHORT,
            "column of the dataset's participants.tsv that names the site, for --cross-validate site ({default})",
            "column of the dataset's `participants.tsv` that names the site, for `--cross-validate site` [`{default}`]",
            metavar="COLUMN",
            check=_column,
        ),
    )


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """How synthetic images are evaluated."""

    uncertainty: Uncertainty = field(
        default=0,
        metadata=option(
            EVALUATION,
            "calibrated: also write the standard deviation of the error and an interval of 90 percent, from held-out "
            "participants; or N: the standard deviation over an ensemble's networks or, with one network, N dropout "
            "samples",
            "`calibrated`: also write the standard deviation of the error and a 90 % interval, both from held-out "
            "participants ([method.md](method.md#calibrated-uncertainty)), whose shape the `zcohort` map of a SISCOM "
            "then follows; or N: the standard deviation over the networks of an ensemble or, with one network, N "
            "dropout samples [{default}: no]",
            metavar="calibrated|N",
            read=_read_uncertainty,
        ),
    )
    data_range: float = field(
        default=2.0,
        metadata=option(
            EVALUATION,
            "data range of SSIM and PSNR on the (-1, 1) scale ({default})",
            metavar="R",
            check=positive,
        ),
    )
    bootstrap_samples: int = field(
        default=10000,
        metadata=option(
            EVALUATION,
            "resamples behind confidence intervals; 0: none ({default})",
            metavar="N",
            check=not_negative,
        ),
    )
    equivalence_margins: tuple[tuple[str, float], ...] = field(
        default=(),
        metadata=option(
            EVALUATION,
            "differences that count as none, by metric: rmse=0.02 mask_psnr=1 (each metric's own)",
            "differences that count as none; `rmse` is of RMSE over the whole slice and in the brain, `mask_rmse` in "
            "the brain alone. Three numbers are of RMSE, SSIM and PSNR [{margins}]",
            metavar="NAME=MARGIN",
            action="extend",
            read=read_margins,
            write=write_margins,
        ),
    )
    ratings: Path | None = field(
        default=None,
        metadata=option(
            EVALUATION,
            "group level: folder with the ratings that readers of the pages have saved (JSON, TSV)",
            "group level: folder with the [ratings](#rating-the-pages) that readers of the pages have saved",
            metavar="FOLDER",
        ),
    )
