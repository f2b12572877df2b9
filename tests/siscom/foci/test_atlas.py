from pathlib import Path

import pytest

from bids_spectsynth.preprocess.templates.atlas import CEREBRA_TEMPLATE
from bids_spectsynth.siscom.foci.atlas import cerebra, is_of_atlas, nearest_template
from tests.siscom.foci.conftest import save, segmentation


@pytest.mark.parametrize(
    ("templates", "nearest"),
    [
        (("MNI152NLin6Asym", "MNI152NLin2009aSym", "MNI152NLin2009cAsym"), "MNI152NLin2009cAsym"),
        (("MNI152NLin2009cAsym", "MNI152NLin2009cSym"), "MNI152NLin2009cSym"),
        (("MNI152NLin6Asym", "MNI152NLin2009aSym"), "MNI152NLin2009aSym"),
        (("MNI152NLin6Sym", "MNI152NLin6Asym", "MNIPediatricAsym+3"), "MNI152NLin6Asym"),
        (("MNI305", "OASIS30ANTs"), None),
        ((), None),
    ],
)
def test_nearest_template__the_atlas_s_own_then_its_generation_then_the_family(
    templates: tuple[str, ...], nearest: str | None
) -> None:
    assert nearest_template(templates) == nearest
    assert nearest is None or is_of_atlas(nearest) == ("2009c" in nearest)


def test_cerebra__a_damaged_file_is_no_atlas_and_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path))
    stem = tmp_path / f"tpl-{CEREBRA_TEMPLATE}" / f"tpl-{CEREBRA_TEMPLATE}"
    image = save(Path(f"{stem}_res-1_atlas-CerebrA_dseg.nii.gz"), segmentation())
    Path(f"{stem}_atlas-CerebA_dseg.tsv").write_text("label\tname\themi\n1028\tSuperior Frontal\tL\n")
    image.write_bytes(image.read_bytes()[:300])
    assert cerebra() is None
    assert cerebra() is None
    assert len(caplog.records) == 1
    assert "CerebrA_dseg.nii.gz: damaged" in caplog.records[0].message
