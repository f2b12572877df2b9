"""Findings of a SISCOM against the phantom's truth, and the tables that `siscom.py` prints."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import binomtest
from siscom_comparators import COMPARATORS
from siscom_heads import Head
from statsmodels.stats.proportion import proportion_confint

#: A first-ranked peak is a hit within this distance of the true centre, mm.
HIT_MM = 15.0
#: Foci that the bars are about: at least so large (mL) and so strong (fraction).
LEAST_ML, LEAST_STRENGTH = 5.0, 0.25
P = 0.05
VOLUME_BINS = ((2.0, 5.0), (5.0, 10.0), (10.0, 30.01))
STRENGTH_BINS = ((0.10, 0.25), (0.25, 0.40), (0.40, 0.601))
_STEM = "sub-{participant}*_task-ictal*_run-{run}_space-T1w_desc-siscom*_clusters.tsv"


@dataclass(frozen=True)
class Truth:
    """Of one head: the focus of its first ictal scan."""

    seed: int
    participant: str
    centre_mm: tuple[float, float, float]
    side: str
    lobe: str
    volume_ml: float
    strength: float
    depth_mm: float
    same_camera: bool


@dataclass(frozen=True)
class Finding:
    """What one ictal scan and one baseline gave. Distances in mm, NaN where nothing was found.

    ``rank``: of the first hyperperfused focus within `HIT_MM` of the truth among all of that sign; NaN: none.
    ``significant``, ``significant_hyper``: foci that count as found, of both signs and of hyperperfusion.
    """

    seed: int
    participant: str
    run: int
    baseline: str
    distance: float
    side_right: bool
    rank: float
    rank_both: float
    significant: int
    significant_hyper: int
    sd_percent: float = float("nan")


@dataclass
class Row:
    """One row of the issue's table."""

    what: str
    of: str
    measured: str
    n: str = ""
    bar: str = ""
    reached: str = ""
    cells: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.cells = [self.what, self.of, self.measured, self.n, self.bar, self.reached]


def read_truth(truth: Path, seed: int) -> list[Truth]:
    """Foci of a cohort, from the phantom's truth folder."""
    out = []
    for folder in sorted(truth.glob("sub-*")):
        foci = pd.read_csv(folder / f"{folder.name}_foci.tsv", sep="\t")
        focus = foci[foci["scan"] == "ictal_run-1"].iloc[0]
        scans = pd.read_csv(folder / f"{folder.name}_scans.tsv", sep="\t").set_index("scan")["fwhm"]
        centre = (float(focus["x"]), float(focus["y"]), float(focus["z"]))
        numbers = (float(focus["volume_ml"]), float(focus["strength"]) / 100, float(focus["depth_mm"]))
        same = bool(abs(scans["ictal_run-1"] - scans["interictal"]) < 1e-3)
        out.append(Truth(seed, folder.name[4:], centre, str(focus["side"]), str(focus["lobe"]), *numbers, same))
    return out


def rate_output(output: Path, truths: Iterable[Truth]) -> list[Finding]:
    """Findings of the program: every ``*_clusters.tsv`` of the two ictal runs. Held-out synthetic baselines only."""
    out = []
    for truth in truths:
        for run in (1, 2):
            pattern = _STEM.format(participant=truth.participant, run=run)
            for path in sorted((output / f"sub-{truth.participant}").rglob(pattern)):
                found = pd.read_csv(path, sep="\t", keep_default_na=False, na_values=["n/a", ""])
                flags = found["flags"].fillna("").astype(str) if len(found) else pd.Series(dtype=str)
                if flags.str.contains(r"\bseen\b").any():
                    continue
                label = path.name.partition("_desc-siscom")[2].partition("_")[0]
                out.append(rate_findings(found.sort_values("rank"), truth, run, label))
    return out


def rate_findings(found: pd.DataFrame, truth: Truth, run: int, baseline: str) -> Finding:
    """Foci of one ictal scan, in the order of their rank and with the columns of the program's table, as a finding."""
    hyper = found[found["sign"] == "hyper"]
    distances = _distances(hyper[["x_mm", "y_mm", "z_mm"]].to_numpy(float), truth.centre_mm)
    both = _distances(found[["x_mm", "y_mm", "z_mm"]].to_numpy(float), truth.centre_mm)
    both = np.where((found["sign"] == "hyper").to_numpy(), both, np.inf)
    counts = [int((part["p_corrected"] < P).sum()) for part in (found, hyper)]
    side = bool(len(hyper) and str(hyper["side"].iloc[0]) == truth.side)
    first = float(distances[0]) if len(hyper) else float("nan")
    return Finding(
        truth.seed, truth.participant, run, baseline, first, side, _rank(distances), _rank(both), *counts
    )  # fmt: skip


def rate_head(head: Head, truth: Truth) -> list[Finding]:
    """Findings of the other tools' ways of computing, hyperperfusion only, on one head."""
    out = []
    for run, scan in ((1, "ictal"), (2, "null-1")):
        for name, (way, by_p) in COMPARATORS.items():
            found = way(head.grid[scan], head.grid["interictal"], head.grid["brain"], head.affine)
            peaks = np.array([cluster.peak_mm for cluster in found]).reshape(-1, 3)
            distances = _distances(peaks, truth.centre_mm)
            first = float(distances[0]) if found else float("nan")
            right = bool(found) and float(peaks[0] @ head.focus["left_to_right"]) > head.focus["midline"]
            side = bool(found) and ("R" if right else "L") == truth.side
            count = sum(cluster.p < P for cluster in found) if by_p else len(found)
            rank = _rank(distances)
            out.append(
                Finding(truth.seed, truth.participant, run, name, first, side, rank, float("nan"), count, count)
            )  # fmt: skip
    return out


def _distances(peaks: np.ndarray, centre: tuple[float, float, float]) -> np.ndarray:
    return np.linalg.norm(peaks.reshape(-1, 3) - np.array(centre), axis=1)


def _rank(distances: np.ndarray) -> float:
    near = np.flatnonzero(distances <= HIT_MM)
    return float(near[0] + 1) if len(near) else float("nan")


def frame(findings: list[Finding], truths: list[Truth]) -> pd.DataFrame:
    """Findings beside the truth of their head, with ``hit``."""
    table = pd.DataFrame([asdict(finding) for finding in findings])
    known = pd.DataFrame([asdict(truth) for truth in truths])
    table = table.merge(known, on=["seed", "participant"], how="left", validate="many_to_one")
    table["hit"] = table["distance"] <= HIT_MM
    table["target"] = (table["volume_ml"] >= LEAST_ML) & (table["strength"] >= LEAST_STRENGTH)
    return table


def share(hits: pd.Series) -> str:
    """A share in percent with its Clopper-Pearson interval."""
    n, k = len(hits), int(hits.sum())
    if not n:
        return "n/a"
    low, high = proportion_confint(k, n, alpha=0.05, method="beta")
    return f"{100 * k / n:.0f} % [{100 * low:.0f}, {100 * high:.0f}]"


def spread(values: np.ndarray, unit: str) -> str:
    """Median and worst, with the distribution-free 95 % interval of the median (order statistics)."""
    ordered = np.sort(np.asarray(values, dtype=float))
    n = len(ordered)
    if not n:
        return "n/a"
    # Ranks between which the median lies in 95 % of samples.
    width = 1.96 * np.sqrt(n) / 2
    low, high = ordered[max(int(np.floor(n / 2 - width)), 0)], ordered[min(int(np.ceil(n / 2 + width)), n - 1)]
    return f"median {np.median(ordered):.2f} [{low:.2f}, {high:.2f}] {unit}, worst {ordered[-1]:.2f}"


def reached(hits: pd.Series, least: float | None = None, most: float | None = None) -> str:
    """Whether a share lies within the bar; n/a without data."""
    if not len(hits):
        return "n/a"
    value = 100 * float(hits.mean())
    return "yes" if (least is None or value >= least) and (most is None or value <= most) else "**no**"


def kind_of(label: str) -> str:
    """Which bar a baseline has to reach; of the models only those of the preset `best` have one."""
    if label in COMPARATORS:
        return "comparator"
    measured = {"Real": "real", "Pet": "pet", "Cohort": "cohort", "Normals": "normals"}
    return measured.get(label, "synthetic" if "best" in label.lower() else "other model")


def localisation_rows(table: pd.DataFrame) -> list[Row]:
    """Rows of hits, sides and false foci, one per baseline."""
    rows = []
    focal, null = table[(table["run"] == 1) & table["target"]], table[table["run"] == 2]
    hit_bar, side_bar = {"real": 90.0, "synthetic": 80.0}, {"real": 97.0, "synthetic": 92.0}
    null_bar = {"real": (2.0, 8.0), "synthetic": (None, 10.0)}
    for what, column, bars in (
        (f"true focus within {HIT_MM:g} mm of the first-ranked peak", "hit", hit_bar),
        ("side right, same foci", "side_right", side_bar),
    ):
        for label, own in focal.groupby("baseline", sort=False):
            bar = bars.get(kind_of(label))
            text = "" if bar is None else f">= {bar:g} %"
            verdict = "" if bar is None else reached(own[column], least=bar)
            rows.append(Row(what, label, share(own[column]), str(len(own)), text, verdict))
    for label, own in null.groupby("baseline", sort=False):
        least, most = null_bar.get(kind_of(label), (None, None))
        bar = "" if most is None else f"{least:g} to {most:g} %" if least is not None else f"<= {most:g} %"
        found = own["significant"] > 0
        verdict = reached(found, least, most) if bar else ""
        rows.append(
            Row("no seizure: heads with any focus that counts", label, share(found), str(len(own)), bar, verdict)
        )
        hyper = own["significant_hyper"] > 0
        rows.append(Row("the same, hyperperfusion only", label, share(hyper), str(len(own))))
    return rows


def sensitivity_table(table: pd.DataFrame) -> str:
    """Hits over size and strength of the focus, one row per baseline."""
    focal = table[table["run"] == 1]
    columns = [("all", pd.Series(True, index=focal.index))]
    columns += [(f"{low:g}-{high:.0f} mL", focal["volume_ml"].between(low, high)) for low, high in VOLUME_BINS]
    columns += [
        (f"+{100 * low:.0f}-{100 * high:.0f} %", focal["strength"].between(low, high)) for low, high in STRENGTH_BINS
    ]
    columns += [("deep", focal["lobe"] == "deep"), ("superficial", focal["lobe"] != "deep")]
    columns += [("same camera", focal["same_camera"]), ("other camera", ~focal["same_camera"])]
    lines = []
    for label in dict.fromkeys(focal["baseline"]):
        own = focal["baseline"] == label
        cells = [f"{share(focal.loc[own & chosen, 'hit'])} ({int((own & chosen).sum())})" for _, chosen in columns]
        lines.append([label, *cells])
    return markdown(["baseline", *[name for name, _ in columns]], lines)


def rank_table(table: pd.DataFrame) -> str:
    """Rank of the true focus among hyperperfused foci, over the foci that the bars are about."""
    focal = table[(table["run"] == 1) & table["target"]]
    lines = []
    for label, own in focal.groupby("baseline", sort=False):
        ranks = own["rank"]
        cells = [share(ranks <= limit) for limit in (1, 2, 3)] + [share(ranks.isna())]
        lines.append([str(label), *cells, f"{own['distance'].median():.1f}"])
    return markdown(["baseline", "rank 1", "rank <= 2", "rank <= 3", "not in the list", "median distance, mm"], lines)


def paired_table(table: pd.DataFrame) -> str:
    """Each synthetic baseline against every other: foci that one of the two hit, McNemar's exact test."""
    focal = table[(table["run"] == 1) & table["target"]]
    hits = focal.pivot(index=["seed", "participant"], columns="baseline", values="hit")
    lines = []
    for label in [name for name in hits if kind_of(name) in ("synthetic", "other model")]:
        for other in [name for name in hits if name != label]:
            both = hits[[label, other]].dropna().astype(bool)
            only, missed = int((both[label] & ~both[other]).sum()), int((~both[label] & both[other]).sum())
            p = binomtest(only, only + missed).pvalue if only + missed else 1.0
            lines.append([str(label), str(other), str(len(both)), str(only), str(missed), f"{p:.3g}"])
    return markdown(["baseline", "against", "foci", "hit by it alone", "by the other alone", "p"], lines)


def markdown(header: list[str], lines: list[list[str]]) -> str:
    """A table in Markdown."""
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
