import pandas as pd

from bids_spectsynth.reports.group.leads import LEADS, RESIDUAL, RMSE


def test_lead__rows_on_the_scale_that_baselines_are_rated_on() -> None:
    rows = [
        {"metric": metric, "scale": scale, "scaling": "slice"}
        for metric in ("mask_rmse", "rmse", "baseline_sd_percent")
        for scale in ("slice", "volume", "uptake")
        if (scale == "uptake") == (metric == "baseline_sd_percent")
    ]
    summary = pd.DataFrame(rows)
    assert RMSE.of(summary).to_dict("records") == [{"metric": "mask_rmse", "scale": "slice", "scaling": "slice"}]
    assert RESIDUAL.of(summary)["scale"].tolist() == ["uptake"]
    assert LEADS == (RMSE, RESIDUAL)
