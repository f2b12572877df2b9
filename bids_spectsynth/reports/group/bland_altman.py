"""The group report's section on regional agreement, asymmetry and volumes, from the tables in the output folder."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from bids_spectsynth.bids.output_files import GroupTable, group_figures, group_table_path, read_table
from bids_spectsynth.bids.sidecars import sidecar
from bids_spectsynth.evaluation.case.region_columns import RESIDUAL_COLUMNS
from bids_spectsynth.evaluation.case.regions import BLOCK_MM, HEMISPHERE
from bids_spectsynth.evaluation.case.volume_measures import BASELINE_SD
from bids_spectsynth.evaluation.columns import NETWORK
from bids_spectsynth.evaluation.figures.bland_altman import PREFIX
from bids_spectsynth.evaluation.group.bland_altman import ALL_REGIONS, held_out
from bids_spectsynth.evaluation.statistics.bland_altman import MARKED_PERCENT
from bids_spectsynth.reports.html import Block, Cell, Column, Heading, Note, Picture, Section, Table, Text, number
from bids_spectsynth.reports.wording import description, method_name, method_order

#: A through-slice ratio in this range is taken for as smooth as the real SPECT.
SMOOTH = (0.9, 1.1)
_TABLES: tuple[GroupTable, ...] = ("agreement", "volumes")
_RUN = ["model", "split"]
#: Blocks of each model that are shown as the source of most of its residual.
_MOST_BLOCKS = 6
_INTRO = (
    f"Held-out participants only. The brain is divided into blocks of {BLOCK_MM:g} mm in the template's world, left "
    "and right mirror images of each other; they are no anatomical regions. Each image is divided by its in-brain "
    "mean, so that uptake is relative (in-brain mean = 1). The asymmetry index of a pair of regions is "
    "200 (L - R) / (L + R) percent. Differences are synthetic minus real. Baselines of slice-scaled models are not "
    "rated here, because their slices have no common scale."
)
_LIMITS = (
    "Blocks of one head are not independent of each other: limits of agreement are those for repeated measures (Bland "
    "and Altman 2007), and every interval in brackets is a 95 % confidence interval over subjects. A high r within "
    "subjects shows only that the common pattern of uptake is met; r of individuals (deviations from each region's "
    "cohort mean) shows whether the image tells one subject from another."
)
_Values = Mapping[Any, Any]
#: By label of a column: its name in the data, and how a row's entry is shown.
_Parts = dict[str, tuple[str, Callable[[_Values], Cell]]]


def agreement_section(output_dir: Path) -> Section | None:
    """Tables and figures of ``group_agreement.tsv`` and ``group_volumes.tsv``; None where they were not written.

    Parameters
    ----------
    output_dir : Path
        With the two tables, their JSON dictionaries and ``figures/group_agreement_*.svg``.

    Raises
    ------
    OSError, ValueError, KeyError
        A table cannot be read or lacks a column.
    """
    agreement, volumes = (_read(group_table_path(output_dir, name)) for name in _TABLES)
    if agreement is None or volumes is None:
        return None
    title = "Regional agreement and asymmetry"
    evaluated = held_out(volumes)
    if evaluated.empty:
        return Section("agreement", title, [Note("No held-out participant was rated by region.", "info")])
    dictionary = sidecar(group_table_path(output_dir, "agreement"))
    blocks: list[Block] = [Text(_INTRO), volume_table(evaluated, sidecar(group_table_path(output_dir, "volumes")))]
    whole = agreement[agreement["region"] == ALL_REGIONS]
    if len(whole):
        blocks.append(Note(_LIMITS, "info", "How to read"))
        blocks += [uptake_table(whole, dictionary), asymmetry_table(whole, dictionary, "pairs of blocks")]
    halves = agreement[agreement["region"] == HEMISPHERE]
    if len(halves):
        blocks.append(asymmetry_table(halves, dictionary, "the two hemispheres"))
    blocks += residual_tables(agreement, dictionary)
    return Section("agreement", title, [*blocks, *_pictures(output_dir)])


def _read(path: Path) -> pd.DataFrame | None:
    return read_table(path) if path.is_file() else None


def _pictures(output_dir: Path) -> list[Block]:
    paths = sorted(group_figures(output_dir).glob(f"{PREFIX}*.svg"))
    blocks: list[Block] = [Heading("Bland-Altman plots and asymmetry")] if paths else []
    for path in paths:
        model = path.stem.removeprefix(PREFIX)
        alt = f"{model}: Bland-Altman plot of regional uptake, and synthetic against real asymmetry index"
        svg, href = path.read_text(encoding="utf-8"), path.relative_to(output_dir).as_posix()
        blocks.append(Picture(svg, alt, f"{model}: a point for each block, or pair of blocks, of each subject", href))
    return blocks


def uptake_table(rows: pd.DataFrame, dictionary: Mapping[str, Any]) -> Table:
    """Agreement of regional uptake, all blocks together; ``rows`` of ``group_agreement.tsv`` with region ``all``."""
    parts: _Parts = {
        "Bias": ("bias", partial(_interval, name="bias", digits=3)),
        "Lower limit": ("loa_lower", partial(_interval, name="loa_lower", digits=3)),
        "Upper limit": ("loa_upper", partial(_interval, name="loa_upper", digits=3)),
        "SD": ("sd_total", partial(_plain, name="sd_total", digits=3)),
        "r within subjects": ("r_within_mean", partial(_interval, name="r_within_mean", digits=2, ends="r_within")),
        "r of individuals": ("r_individual", partial(_plain, name="r_individual", digits=2)),
        "CCC": ("ccc", partial(_interval, name="ccc", digits=2)),
        **_counts("Blocks"),
    }
    caption = "Uptake of all blocks (in-brain mean = 1): bias, limits of agreement, correlation, concordance."
    return _table(rows[rows["measure"] == "uptake"], parts, dictionary, caption)


def asymmetry_table(rows: pd.DataFrame, dictionary: Mapping[str, Any], what: str) -> Table:
    """Agreement of asymmetry indices.

    Parameters
    ----------
    rows : DataFrame
        Rows of ``group_agreement.tsv`` of one region, or of all blocks.
    dictionary : mapping
        ``group_agreement.json``; its descriptions become tooltips.
    what : str
        Whose asymmetry it is, for the caption.
    """
    parts: _Parts = {
        "Bias": ("bias", partial(_interval, name="bias", digits=2)),
        "Lower limit": ("loa_lower", partial(_interval, name="loa_lower", digits=1)),
        "Upper limit": ("loa_upper", partial(_interval, name="loa_upper", digits=1)),
        "Mean error": ("mean_absolute", partial(_plain, name="mean_absolute", digits=2)),
        "r of individuals": ("r_individual", partial(_plain, name="r_individual", digits=2)),
        "CCC": ("ccc", partial(_interval, name="ccc", digits=2)),
        "Same side": ("sign_agreement", _same_side),
        **_counts("Pairs"),
    }
    caption = (
        f"Asymmetry index of {what}, percent; same side: of those whose real index exceeds {MARKED_PERCENT:g} % either "
        "way, the share with the same sign in the synthetic SPECT."
    )
    return _table(rows[rows["measure"] == "asymmetry"], parts, dictionary, caption)


def residual_tables(rows: pd.DataFrame, dictionary: Mapping[str, Any]) -> list[Block]:
    """Where the smoothed residual of each model's network lies: the blocks with the largest shares of its variance.

    Parameters
    ----------
    rows : DataFrame
        ``group_agreement.tsv``.
    dictionary : mapping
        ``group_agreement.json``.

    Returns
    -------
    list of Table
        Empty where no block has a residual.
    """
    share, mean = RESIDUAL_COLUMNS
    blocks = (rows["measure"] == "uptake") & ~rows["region"].isin([ALL_REGIONS, HEMISPHERE])
    chosen = rows[blocks & (rows["method"] == NETWORK) & rows[share].notna()]
    cells = []
    for _, group in chosen.groupby(_RUN, sort=False):
        largest = group.sort_values(share, ascending=False, kind="stable").head(_MOST_BLOCKS).to_dict("records")
        for position, row in enumerate(largest):
            tone = "muted" if position else ""
            named = [Cell(str(row["model"]), tone), Cell(str(row["split"]), tone)]
            named += [Cell(str(row[name])) for name in ("region", "hemisphere")]
            cells.append([*named, _plain(row, share, 1), _plain(row, mean, 1), _plain(row, "n_subjects", 0)])
    columns = [Column(name) for name in ("Model", "Split")]
    columns += [Column(name, description(dictionary, name.lower())) for name in ("Region", "Hemisphere")]
    columns += [
        Column("Share of the variance (%)", description(dictionary, share), numeric=True),
        Column("Mean residual (%)", description(dictionary, mean), numeric=True),
        Column("Subjects", description(dictionary, "n_subjects"), numeric=True),
    ]
    caption = (
        "Where false foci would come from: blocks with the largest share of the smoothed residual of each network, "
        "mean over subjects. Real minus synthetic: above 0 the synthetic image is too low, which looks like "
        "hyperperfusion."
    )
    return [Table(columns, cells, caption)] if cells else []


def _counts(regions: str) -> _Parts:
    names = {"Subjects": "n_subjects", regions: "n_regions", "Values": "n_values"}
    return {label: (name, partial(_plain, name=name, digits=0)) for label, name in names.items()}


def _table(
    rows: pd.DataFrame,
    parts: _Parts,
    dictionary: Mapping[str, Any],
    caption: str,
) -> Table:
    """One row per model, split and method."""
    cells = [[*_name_cells(row, first=first), *(show(row) for _, show in parts.values())] for first, row in _runs(rows)]
    columns = [Column("Model"), Column("Split"), Column("Method")]
    columns += [Column(label, description(dictionary, name), numeric=True) for label, (name, _) in parts.items()]
    return Table(columns, cells, caption)


def _runs(rows: pd.DataFrame) -> list[tuple[bool, _Values]]:
    """Rows by model and split, the network before its baselines, and whether each is the first of its model."""
    found: list[tuple[bool, _Values]] = []
    for _, group in rows.groupby(_RUN, sort=False):
        order = method_order(group["method"])
        ordered = sorted(group.to_dict("records"), key=lambda row: order.index(str(row["method"])))
        found += [(position == 0, row) for position, row in enumerate(ordered)]
    return found


def _name_cells(row: _Values, *, first: bool) -> list[Cell]:
    tone = "" if first else "muted"
    return [
        Cell(str(row["model"]), tone),
        Cell(str(row["split"]), tone),
        Cell(method_name(str(row["method"])), "best" if first else ""),
    ]


def _interval(row: _Values, name: str, digits: int, ends: str = "") -> Cell:
    low, high = (float(row[f"{ends or name}_{end}"]) for end in ("low", "high"))
    value = number(float(row[name]), digits)
    known = math.isfinite(low) and math.isfinite(high)
    return Cell(f"{value}\n[{number(low, digits)}, {number(high, digits)}]" if known else value)


def _plain(row: _Values, name: str, digits: int) -> Cell:
    return Cell(number(float(row[name]), digits))


def _same_side(row: _Values) -> Cell:
    n, share = float(row["n_marked"]), float(row["sign_agreement"])
    return Cell(f"{100 * share:.0f} %\nof {n:.0f}") if n > 0 else Cell("–", "muted")


def volume_table(rows: pd.DataFrame, dictionary: Mapping[str, Any]) -> Table:
    """Volume measures: mean and standard deviation over subjects, with the range of the through-slice ratio.

    Parameters
    ----------
    rows : DataFrame
        Held-out rows of ``group_volumes.tsv``.
    dictionary : mapping
        ``group_volumes.json``; its descriptions become tooltips.
    """
    names = {"volume_rmse": 3, "volume_correlation": 3, "volume_nmi": 3, "sharpness_ratio": 2}
    names |= {"through_slice_ratio": 2, "asymmetry_error": 2}
    names |= {BASELINE_SD.name: BASELINE_SD.digits}
    found = []
    for key, group in rows.groupby([*_RUN, "method"], sort=False):
        subjects = group.groupby("participant_id")[list(names)].mean()
        counts = {"n_subjects": len(subjects), "n_slices": group["rated_slices"].sum()}
        found.append(dict(zip([*_RUN, "method"], key, strict=True)) | counts | {"subjects": subjects})
    cells = []
    for first, row in _runs(pd.DataFrame(found)):
        spread = [_spread(row["subjects"][name], name, digits) for name, digits in names.items()]
        counted = [Cell(f"{row[name]:.0f}") for name in ("n_subjects", "n_slices")]
        cells.append([*_name_cells(row, first=first), *spread, *counted])
    labels = [
        "Volume RMSE", "Correlation", "Mutual information", "Sharpness ratio", "Through-slice ratio",
        "Asymmetry error (points)", BASELINE_SD.label,
    ]  # fmt: skip
    columns = [Column("Model"), Column("Split"), Column("Method")]
    columns += [
        Column(label, description(dictionary, name), numeric=True) for label, name in zip(labels, names, strict=True)
    ]
    columns += [Column("Subjects", numeric=True), Column("Slices", numeric=True)]
    caption = (
        "Agreement of the volumes (in-brain mean = 1): mean ± standard deviation over subjects. Through-slice ratio: "
        "change from slice to slice, synthetic over real, with the range over subjects; "
        "sharpness ratio: the same of second differences, where blur shows; "
        f"{SMOOTH[0]:g} to {SMOOTH[1]:g} is as smooth as the real SPECT."
    )
    return Table(columns, cells, caption)


def _spread(values: "pd.Series[float]", name: str, digits: int) -> Cell:
    mean, sd = float(values.mean()), float(values.std(ddof=1))
    text = f"{number(mean, digits)} ± {number(sd, digits)}" if math.isfinite(sd) else number(mean, digits)
    if name != "through_slice_ratio" or not math.isfinite(mean):
        return Cell(text)
    text += f"\n{number(float(values.min()), digits)} to {number(float(values.max()), digits)}"
    return Cell(text, "good" if SMOOTH[0] <= mean <= SMOOTH[1] else "worse")
