from pathlib import Path

import pytest

from bids_spectsynth.phantom.participants import make_cohort


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small subjects: the first has an ictal SPECT, the second a resection cavity."""
    out = tmp_path_factory.mktemp("phantom") / "cohort"
    make_cohort(out, 2, size="small", seed=3)
    return out
