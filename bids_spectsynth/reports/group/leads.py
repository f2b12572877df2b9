"""What methods are ranked by in the group report: error in the brain, and the residual as a baseline of SISCOM."""

from dataclasses import dataclass

import pandas as pd

from bids_spectsynth.evaluation.case.metrics import LEADING
from bids_spectsynth.evaluation.case.volume_measures import BASELINE_SD
from bids_spectsynth.evaluation.columns import UPTAKE_SCALE


@dataclass(frozen=True)
class Lead:
    """A metric of which less is better.

    Parameters
    ----------
    metric : str
    title : str
        At the start of a caption.
    named : str
        Within a sentence.
    digits : int
        Decimals for reading.
    """

    metric: str
    title: str
    named: str
    digits: int

    def of(self, summary: pd.DataFrame) -> pd.DataFrame:
        """Its rows of ``group_summary.tsv`` on the one scale that baselines are rated on.

        Parameters
        ----------
        summary : DataFrame
        """
        compared = (summary["scale"] == summary["scaling"]) | (summary["scale"] == UPTAKE_SCALE)
        return summary[(summary["metric"] == self.metric) & compared]


RMSE = Lead(LEADING, "RMSE in the brain", "mean in-brain RMSE", 3)
RESIDUAL = Lead(BASELINE_SD.name, f"{BASELINE_SD.full_title}, percent", "mean baseline SD", BASELINE_SD.digits)
#: In the order in which they are shown.
LEADS = (RMSE, RESIDUAL)
