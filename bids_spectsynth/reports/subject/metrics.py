"""The section of a subject's report on agreement between real and synthetic image."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from bids_spectsynth.bids.output_files import Synthetic
from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.bids.sidecars import sidecar
from bids_spectsynth.evaluation.case.metrics import LEADING, METRICS, metrics_in
from bids_spectsynth.evaluation.columns import LESION_KEY, NETWORK
from bids_spectsynth.reports.context import Figure, SubjectContext
from bids_spectsynth.reports.html import Block, Cell, Column, Note, Section, Table, Text, number
from bids_spectsynth.reports.pictures.charts import metric_lines
from bids_spectsynth.reports.subject.images import ASSUMED_TEXT, model_blocks
from bids_spectsynth.reports.wording import description, left_out_text, method_name, method_order


def metrics_section(context: SubjectContext) -> Section | None:
    """Metrics over slices and their means for each evaluated model; None where nothing was to be evaluated."""
    blocks: list[Block] = []
    if any(case.is_state_assumed for case, _ in context.synthetic):
        cure = "No model is rated on it: rename it with task-interictal or task-ictal, or use --bids-filter-file."
        blocks.append(Note(f"{ASSUMED_TEXT} {cure}", "warning", "not rated"))

    def make(case: PreparedCase, synthetic: Synthetic) -> list[Block]:
        if synthetic.metrics is None:
            return []
        try:
            return _metrics_blocks(context, case, synthetic, read_metrics(synthetic.metrics))
        except Exception as error:
            return [context.problem(f"{case.name}: metrics of {synthetic.model}", error)]

    blocks += model_blocks(context, make)
    if not blocks:
        return None
    intro = (
        "One value per axial slice that holds brain, on intensities from -1 to 1. Numbers over the whole slice can be "
        "compared with the article, but background flatters them; those in the brain, where the SPECT was measured, "
        "are the honest ones. The curves show all slices; the means are over the block of slices with the most brain, "
        "as many as training takes from a participant. Read the model's numbers beside those of the baselines, which "
        "need no network."
    )
    return Section("metrics", "Metrics per slice", [Text(intro), *blocks])


def read_metrics(path: Path) -> pd.DataFrame:
    """A table of metrics per slice, on the scale of the model's training: one row for each slice and method.

    The network is rated on a second scale too, for comparisons of models of different scaling. Those rows stand beside
    no baseline and are not this page's.

    Raises
    ------
    ValueError
        A column is missing, or a slice of a method has several rows.
    """
    frame = pd.read_csv(path, sep="\t", na_values=["n/a"], dtype={"in_block": str})
    needed = {"method", "z_mm", "slice", "in_block", "scale", "scaling", *METRICS}
    if missing := sorted(needed - set(frame.columns)):
        raise ValueError(f"{path.name} has no column {', '.join(missing)}")
    own = frame[frame["scale"] == frame["scaling"]]
    if own.duplicated(["method", "slice"]).any():
        raise ValueError(f"{path.name} has several rows for one slice and method; run the participant again")
    return own.assign(in_block=own["in_block"].str.lower()).reset_index(drop=True)


def _metrics_blocks(
    context: SubjectContext, case: PreparedCase, synthetic: Synthetic, frame: pd.DataFrame
) -> list[Block]:
    blocks: list[Block] = []
    split = str(frame["split"].iloc[0]) if "split" in frame and len(frame) else "n/a"
    if split in ("train", "validation"):
        role = "trained on" if split == "train" else "the best epoch was chosen on"
        text = f"The model was {role} this participant" if split == "train" else f"{role.capitalize()} this participant"
        blocks.append(Note(f"{text}: these numbers are better than those to be expected of others.", "warning", split))
    if synthetic.metrics is not None and sidecar(synthetic.metrics).get(LESION_KEY) is True:
        text = (
            "The lesion was left out of these numbers (--lesion-mask all): both images are background in it, which "
            "metrics of the whole slice take for agreement; those in the brain do not."
        )
        blocks.append(Note(text, "info", "Lesion mask:"))
    entities = {"task": "interictal", "space": synthetic.space, "desc": synthetic.model}
    figure = Figure(entities, "metrics", f"Metrics over slices, {synthetic.model}", lambda: _lines(frame))
    block = frame[frame["in_block"] == "true"]
    columns = list(METRICS)
    # The PSNR of a slice in which both images are identical is infinite.
    means = block[["method"]].join(block[columns].replace([np.inf, -np.inf], np.nan)).groupby("method").mean()
    return [
        *blocks,
        context.picture(case, figure),
        _means_table(block, means, _dictionary(synthetic)),
        *_better_baselines(means, int(block["slice"].nunique())),
    ]


def _dictionary(synthetic: Synthetic) -> Mapping[str, object]:
    return sidecar(synthetic.metrics) if synthetic.metrics else {}


def _lines(frame: pd.DataFrame) -> tuple[str, str]:
    panels = {}
    # Copies of the columns of text would take most of the time.
    methods, frame = frame["method"], frame[["z_mm", *METRICS]].sort_values("z_mm")
    for metric in metrics_in("brain"):
        lines = {}
        for method in method_order(methods):
            rows = frame[methods.reindex(frame.index) == method]
            values = rows[metric.name].to_numpy(dtype=np.float64)
            lines[method_name(method)] = (rows["z_mm"].to_numpy(dtype=np.float64), values)
        panels[metric.label] = lines
    caption = (
        "Metrics in the brain, where the SPECT was measured, over the height of all slices; "
        "the thick line is the model."
    )
    return metric_lines(panels, [method_name(NETWORK)]), caption


def _means_table(frame: pd.DataFrame, means: pd.DataFrame, dictionary: Mapping[str, object]) -> Table:
    metrics = [*metrics_in("brain"), *metrics_in("whole")]
    best = {m.name: means[m.name].min() if m.lower_is_better else means[m.name].max() for m in metrics}
    counts = frame.groupby("method")["slice"].nunique()
    rows = []
    for method in method_order(frame["method"]):
        cells = [Cell(method_name(method))]
        for metric in metrics:
            value = float(means.loc[method, metric.name])  # type: ignore[arg-type]
            cells.append(Cell(number(value, metric.digits), "best" if value == best[metric.name] else ""))
        rows.append([*cells, Cell(str(counts[method]))])
    columns = [Column("Method")]
    columns += [Column(metric.label, description(dictionary, metric.name), numeric=True) for metric in metrics]
    ranges = sorted({f"{value:g}" for value in frame["data_range"].dropna()}) if "data_range" in frame else []
    data_range = f" Data range {', '.join(ranges)}." if ranges else ""
    infinite = dict.fromkeys(metric.title for metric in metrics if np.isinf(frame[metric.name]).any())
    left_out = f" Infinite {', '.join(infinite)} is left out." if infinite else ""
    caption = (
        "Means over the slices of the block with the most brain; the best of each column in bold."
        f"{left_out}{data_range}"
    )
    return Table([*columns, Column("Slices", "Rated slices of the block", numeric=True)], rows, caption)


def _better_baselines(means: pd.DataFrame, n_slices: int) -> list[Block]:
    if NETWORK not in means.index:
        return []
    if len(means) < 2:
        return [Note(f"There is no baseline to compare with.{left_out_text(means.index)}")]
    counted = f"n = 1 participant, {n_slices} slices"
    absent = left_out_text(str(method) for method in means.index)
    errors = means[LEADING]
    own = float(errors[NETWORK])
    better = [(str(m), float(v)) for m, v in errors.items() if m != NETWORK and float(v) < own]
    if not better:
        text = "Lower mean in-brain RMSE than every baseline in this participant"
        return [Note(f"{text} ({counted}: too few to conclude).{absent}")]
    names = ", ".join(f"{method_name(m)} ({number(v)})" for m, v in sorted(better, key=lambda pair: pair[1]))
    text = f"Lower mean in-brain RMSE than the model ({number(own)}) in this participant ({counted}): {names}."
    return [Note(text + absent, "warning", "Baseline ahead")]
