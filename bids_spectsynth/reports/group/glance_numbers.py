"""The numbers behind the table of all participants: by participant, from the tables of the group level."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from bids_spectsynth.bids.output_files import group_table_path, read_table
from bids_spectsynth.bids.roles import T1W, role_of
from bids_spectsynth.bids.transforms import find_transforms
from bids_spectsynth.evaluation.case.metrics import LEADING
from bids_spectsynth.evaluation.columns import NETWORK
from bids_spectsynth.evaluation.group.outliers import BETTER
from bids_spectsynth.evaluation.group.page_ratings import worst
from bids_spectsynth.reports.group.leads import RMSE
from bids_spectsynth.reports.wording import method_name
from bids_spectsynth.siscom.group.results import Result, by_participant, read_results

_LEAD_COLUMNS = ["participant_id", "model", "method", "scale", "in_block", LEADING]


@dataclass(frozen=True)
class Compared:
    """The model and the baseline that everybody is shown with: of each the one with the lowest mean error.

    Parameters
    ----------
    model, scale : str
    baseline : str or None
        A method that was rated beside the model; None without one.
    n_models, n_baselines : int
        That were chosen from.
    """

    model: str
    scale: str
    baseline: str | None
    n_models: int
    n_baselines: int

    @property
    def text(self) -> str:
        """What was chosen, in a sentence."""
        of = f" (the lowest mean of {self.n_models} models)" if self.n_models > 1 else ""
        text = f"RMSE in the brain of {self.model}{of}"
        if self.baseline is None:
            return f"{text}."
        chosen = f"the lowest mean of {self.n_baselines} baselines" if self.n_baselines > 1 else "the only baseline"
        return f"{text} and of {method_name(self.baseline)} ({chosen}), held-out participants, {self.scale} scale."


@dataclass(eq=False)
class Numbers:
    """By participant (``sub-01``); whoever has no such number is not in the mapping."""

    overlap: Mapping[str, float] = field(default_factory=dict)
    poor: Mapping[str, list[str]] = field(default_factory=dict)
    mask_ml: Mapping[str, float] = field(default_factory=dict)
    outliers: Mapping[str, int] = field(default_factory=dict)
    model_error: Mapping[str, float] = field(default_factory=dict)
    baseline_error: Mapping[str, float] = field(default_factory=dict)
    verdict: Mapping[str, str] = field(default_factory=dict)
    siscom: Mapping[str, Result] = field(default_factory=dict)
    compared: Compared | None = None


def glance_numbers(output_dir: Path) -> Numbers:
    """What the output folder says of each participant; a table that was not written leaves its numbers out.

    Parameters
    ----------
    output_dir : Path
    """
    transforms = find_transforms(output_dir)
    poor: dict[str, list[str]] = {}
    overlap: dict[str, float] = {}
    for one in transforms:
        participant = one.case_name.partition("_")[0]
        if one.poor:
            poor.setdefault(participant, []).append(one.title)
        if math.isfinite(one.overlap) and one.target == T1W:
            overlap[participant] = min(one.overlap, overlap.get(participant, math.inf))
    compared = best_methods(_read(output_dir, "summary"))
    model_error, baseline_error = _errors(output_dir, compared)
    return Numbers(
        overlap=overlap,
        poor=poor,
        mask_ml=_masks(_read(output_dir, "quality")),
        outliers=_counts(_read(output_dir, "outliers")),
        model_error=model_error,
        baseline_error=baseline_error,
        verdict=_verdicts(_read(output_dir, "ratings")),
        siscom={one.participant: one for one in by_participant(read_results(output_dir))},
        compared=compared,
    )


def best_methods(summary: pd.DataFrame) -> Compared | None:
    """The model with the lowest mean error, and its best baseline; None where no network was rated.

    Models are compared on the scale on which most of them were rated, and of equally many on that of the first one.
    Means over different participants have no order, so that of such models the first of those with most participants
    is taken.

    Parameters
    ----------
    summary : DataFrame
        ``group_summary.tsv``.
    """
    if summary.empty:
        return None
    rows = RMSE.of(summary)
    networks = rows[rows["method"] == NETWORK]
    if networks.empty:
        return None
    scale = networks["scale"].value_counts(sort=True).index[0]
    rows, networks = rows[rows["scale"] == scale], networks[networks["scale"] == scale]
    means = _pooled(networks, "model")
    model = str(means.index[0])
    baselines = _pooled(rows[(rows["model"] == model) & (rows["method"] != NETWORK)], "method")
    baseline = None if baselines.empty else str(baselines.index[0])
    return Compared(model, str(scale), baseline, len(means), len(baselines))


def _pooled(rows: pd.DataFrame, by: str) -> pd.DataFrame:
    """Mean over all held-out participants by model or method; those of most participants first, of them the lowest."""
    weighted = rows.assign(total=rows["subject_mean"] * rows["n_subjects"])
    sums = weighted.groupby(by, sort=False)[["total", "n_subjects"]].sum()
    means = sums.assign(mean=sums["total"] / sums["n_subjects"])
    return means.sort_values(["n_subjects", "mean"], ascending=[False, True], kind="stable")


def _errors(output_dir: Path, compared: Compared | None) -> tuple[dict[str, float], dict[str, float]]:
    path = group_table_path(output_dir, "metrics")
    if compared is None or not path.is_file():
        return {}, {}
    text = {name: str for name in _LEAD_COLUMNS if name != LEADING}
    rows = pd.read_csv(
        path, sep="\t", usecols=_LEAD_COLUMNS, dtype=text, na_values={LEADING: ["n/a"]}, keep_default_na=False
    )
    rows = rows[(rows["model"] == compared.model) & (rows["scale"] == compared.scale)]
    rows = rows[rows["in_block"].str.lower() == "true"]
    means = rows.groupby(["method", "participant_id"])[LEADING].mean().dropna()
    found = {method: means.loc[method].to_dict() for method in means.index.unique("method")}
    return found.get(NETWORK, {}), found.get(compared.baseline, {}) if compared.baseline else {}


def _read(output_dir: Path, name: str) -> pd.DataFrame:
    path = group_table_path(output_dir, name)  # type: ignore[arg-type]
    return read_table(path) if path.is_file() else pd.DataFrame()


def _masks(quality: pd.DataFrame) -> dict[str, float]:
    if quality.empty:
        return {}
    rows = quality[(quality["quantity"] == "mask_volume") & (quality["of"] == role_of(T1W).title)]
    return {str(name): float(value) for name, value in rows.groupby("participant_id")["value"].mean().items()}


def _counts(outliers: pd.DataFrame) -> dict[str, int]:
    if outliers.empty:
        return {}
    counts = outliers[outliers["side"] != BETTER].groupby("participant_id").size()
    return {str(name): int(count) for name, count in counts.items()}


def _verdicts(ratings: pd.DataFrame) -> dict[str, str]:
    if ratings.empty:
        return {}
    groups = ratings.groupby("participant_id")["verdict"]
    return {str(name): worst([*map(str, verdicts)]) for name, verdicts in groups}
