import io
from dataclasses import replace

import numpy as np
import pandas as pd

from bids_spectsynth.siscom.foci.clusters import EDGE, LARGE, LESION, SEEN, WITHIN_NULL
from bids_spectsynth.siscom.outputs.columns import CLUSTERS_DICTIONARY, clusters_table, with_names
from bids_spectsynth.siscom.records import Focus, Names

FIRST = "rank sign x_mm y_mm z_mm volume_ml z_max znull_max zcohort_max percent_max p_corrected side lobe region flags"
FOCUS = Focus(
    rank=1,
    sign="hypo",
    peak_mm=(-12.04, 3.96, 44.0),
    centroid_mm=(-11.0, 4.5, 43.26),
    volume_ml=6.4001,
    z_max=-3.14159,
    znull_max=-4.5,
    zcohort_max=float("nan"),
    percent_max=-21.456,
    percent_mean=-15.0,
    p_corrected=1 / 401,
    edge_mm=7.3,
    lesion_percent=12.34,
    lesion_mm=3.21,
    budget={"registration": 0.5, "noise": 2.346},
)


def test_clusters_table__columns_are_those_that_readers_of_the_files_count_on() -> None:
    table = clusters_table([FOCUS], 3.2)
    assert list(table)[:15] == FIRST.split()
    assert list(table) == list(CLUSTERS_DICTIONARY)
    further = "percent_mean xc_mm yc_mm zc_mm x_template_mm y_template_mm z_template_mm region_distance_mm edge_mm"
    assert set(further.split()) < set(table)
    assert {f"sd_{cause}_percent" for cause in ("registration", "noise", "resolution", "synthesis")} < set(table)


def test_clusters_table__a_row_says_what_the_focus_is() -> None:
    names = Names(side="L", lobe="temporal", region="hippocampus", distance_mm=1.04, template_mm=(-24.0, -20.06, -14))
    row = clusters_table([replace(FOCUS, names=names, flags=(EDGE, SEEN))], 3.2).iloc[0]
    assert (row["rank"], row["sign"]) == (1, "hypo")
    assert (row["x_mm"], row["y_mm"], row["z_mm"]) == (-12.0, 4.0, 44.0)
    assert (row["xc_mm"], row["yc_mm"], row["zc_mm"]) == (-11.0, 4.5, 43.3)
    assert (row["volume_ml"], row["percent_max"], row["percent_mean"]) == (6.4, -21.46, -15)
    assert (row["z_max"], row["znull_max"], row["p_corrected"]) == (-3.142, -4.5, 0.0025)
    assert (row["side"], row["lobe"], row["region"], row["flags"]) == ("L", "temporal", "hippocampus", "edge,seen")
    assert (row["x_template_mm"], row["y_template_mm"], row["z_template_mm"]) == (-24, -20.1, -14)
    assert (row["region_distance_mm"], row["edge_mm"], row["null_share"]) == (1.0, 7.3, 2.0)
    assert (row["lesion_percent"], row["lesion_mm"]) == (12.3, 3.2)
    assert (row["sd_registration_percent"], row["sd_noise_percent"]) == (0.5, 2.35)


def test_clusters_table__what_is_not_known_is_not_there() -> None:
    row = clusters_table([FOCUS], 0).iloc[0]
    assert (row["side"], row["lobe"], row["region"], row["flags"]) == ("n/a", "n/a", "n/a", "n/a")
    for name in ("zcohort_max", "x_template_mm", "region_distance_mm", "null_share", "sd_synthesis_percent"):
        assert np.isnan(row[name])


def test_clusters_table__without_foci_has_its_columns() -> None:
    text = clusters_table([], 1.0).to_csv(sep="\t", index=False)
    assert list(pd.read_csv(io.StringIO(text), sep="\t")) == list(CLUSTERS_DICTIONARY)


def test_clusters_dictionary__describes_every_column_and_every_flag() -> None:
    assert all(entry["Description"].endswith(".") for entry in CLUSTERS_DICTIONARY.values())
    assert set(CLUSTERS_DICTIONARY["flags"]["Levels"]) == {EDGE, WITHIN_NULL, SEEN, LARGE, LESION}
    for name, entry in CLUSTERS_DICTIONARY.items():
        if name.endswith(("_mm", "_ml")):
            assert entry["Units"] == {"_mm": "mm", "_ml": "mL"}[name[-3:]]


def test_with_names__each_focus_gets_its_own() -> None:
    names = [Names(side="L"), Names(side="R")]
    found = with_names([FOCUS, replace(FOCUS, rank=2)], names)
    assert [(focus.rank, focus.names.side) for focus in found] == [(1, "L"), (2, "R")]
