from xml.etree import ElementTree

import pandas as pd
import pytest

from bids_spectsynth.bids.writing import write_json
from bids_spectsynth.evaluation.case.slice_columns import slice_dictionary
from bids_spectsynth.evaluation.figures.paper import write_paper_figures
from bids_spectsynth.evaluation.group.tables import GroupTables

NOTHING = pd.DataFrame()


def names(out):
    return {path.name for path in (out / "figures").glob("*")}


def test_two_models_as_svg_and_png_and_older_figures_go(tmp_path, study, images):
    metrics = study(inputs=("pet", "T1w"), spaces=("T1w",), losses=("L1+BCE",))
    images(tmp_path, metrics)
    write_json(tmp_path / "dataset_description.json", {"PhantomData": True})
    (tmp_path / "figures").mkdir()
    for name in ("paper_figure4.svg", "paper_figure4.png", "group_rmse.svg"):
        (tmp_path / "figures" / name).write_text("old")
    paths = write_paper_figures(GroupTables(metrics, NOTHING, NOTHING), tmp_path)
    stems = ["paper_figure3", "paper_figure7", "paper_figure7_brain"]
    assert [path.name for path in paths] == [f"{stem}.svg" for stem in stems]
    assert names(tmp_path) == {f"{stem}.{kind}" for stem in stems for kind in ("svg", "png")} | {"group_rmse.svg"}
    for path in paths:
        description = ElementTree.parse(path).getroot().find(".//{http://purl.org/dc/elements/1.1/}description")
        assert "phantoms" in description.text
        assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("empty", [True, False])
def test_nothing_held_out_gives_no_figures(tmp_path, model, empty):
    metrics = model("m", "pet", "T1w", "L1+BCE", split="train")
    metrics = pd.DataFrame(columns=list(slice_dictionary())) if empty else metrics
    assert write_paper_figures(GroupTables(metrics, NOTHING, NOTHING), tmp_path) == []
