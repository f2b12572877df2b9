from pathlib import Path

import numpy as np
import pytest

from bids_spectsynth.bids.prepared import PreparedCase
from bids_spectsynth.errors import ImageError
from bids_spectsynth.synthesis.baselines.template import template_matrix


def test_no_transform_is_an_error_in_native_space_alone(tmp_path: Path) -> None:
    native = PreparedCase("a", None, "T1w", {}, {}, None, None)
    with pytest.raises(ImageError, match="sub-a: no transform"):
        template_matrix(native)
    np.testing.assert_array_equal(template_matrix(PreparedCase("a", None, "MNI", {}, {}, None, "MNI")), np.eye(4))
