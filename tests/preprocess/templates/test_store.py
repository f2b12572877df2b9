"""Which files of TemplateFlow's folder serve, by their names alone."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import pytest

from bids_spectsynth.errors import UsageError
from bids_spectsynth.options.spaces import Space, parse_space
from bids_spectsynth.preprocess.templates.store import (
    NotListedError,
    TemplateFiles,
    check_kind,
    find_files,
    templateflow_home,
)
from bids_spectsynth.preprocess.templates.templates import (
    check_template,
    fetch_template,
    inspect_template,
    planned_template,
)

#: All of TemplateFlow that is of human heads and has a T1w and a brain mask, with its cohorts and resolutions.
SERVING = {
    "MNI152Lin": ["1", "2"],
    "MNI152NLin2009aAsym": ["1"],
    "MNI152NLin2009cAsym": ["1", "2"],
    "MNI152NLin2009cSym": ["1"],
    "MNI152NLin6Asym": ["1", "2", "4", "5"],
    "MNI152NLin6Sym": ["1"],
    "MNI305": [None],
    "MNIColin27": [None],
    "NKI": ["1"],
    "OASIS30ANTs": ["1"],
    "PNC": ["1"],
    **{f"MNIInfant:cohort-{n}": ["1", "2"] for n in range(1, 12)},
    **{f"MNIPediatricAsym:cohort-{n}": ["1", "2"] for n in range(1, 7)},
    **{f"UNCInfant:cohort-{n}": [None] for n in range(1, 4)},
    **{f"dhcpVol:cohort-{n}": [None] for n in range(36, 45)},
}


def chosen(space: Space) -> TemplateFiles:
    """What a run does before it downloads anything."""
    check_kind(space)
    return find_files(space)


@pytest.mark.parametrize("name", SERVING)
def test_real_templates_are_found(real_names: Path, name: str) -> None:
    for index in SERVING[name]:
        asked = parse_space(name if index is None else f"{name}:res-{index}")
        files = chosen(asked)
        assert files.space == asked
        stem = re.sub(r"(_desc-brain|_label-brain)?_(mask|T1w)\.nii\.gz", "", files.image.name)
        assert files.image.name == f"{stem}_T1w.nii.gz"
        assert re.fullmatch(rf"{re.escape(stem)}_(desc|label)-brain_mask\.nii\.gz", files.mask.name)
        assert files.image.relative_to(real_names).as_posix() == files.place
        assert not files.are_stored
    # Without a resolution, the first of the list.
    assert find_files(parse_space(name)).space.resolution == SERVING[name][0]


def test_no_other_real_template_serves(real_names: Path) -> None:
    names = {path.name.removeprefix("tpl-") for path in real_names.iterdir()}
    assert len(names) == 30
    serving = {name.partition(":")[0] for name in SERVING}
    for name in names - serving - {"MNI152NLin2009aSym"}:
        folders = [None, *(path.name.partition("-")[2] for path in (real_names / f"tpl-{name}").glob("cohort-*"))]
        for cohort in folders:
            with pytest.raises(UsageError, match=rf"^--output-spaces: {name}.*(no |surface|template of|has cohorts)"):
                chosen(Space(name, cohort))
    with pytest.raises(NotListedError) as caught:
        find_files(Space("Unknown"))
    # Their folder holds names only.
    said = str(caught.value)
    assert " has none (and empty placeholders of " in said
    listed = said.partition("placeholders of ")[2].partition(")")[0].split(", ")
    assert set(listed) == serving | {"MNI152NLin2009aSym"}


def test_the_manual_names_all_that_serve() -> None:
    text = (Path(__file__).parents[3] / "docs" / "usage.md").read_text()
    assert [name for name in {name.partition(":")[0] for name in SERVING} if f"`{name}`" not in text] == []


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("fsaverage", "a surface"),
        ("fsLR", "a surface"),
        ("NMT31Sym", "Macaca mulatta"),
        ("RESILIENT:cohort-1", "Rattus norvegicus"),
        ("VALiDATe29", "Saimiri sciureus and Saimiri boliviensis"),
        ("MNI152NLin2009bAsym", "no brain mask"),
        ("SUIT", "no brain mask"),
        ("dhcpSym:cohort-40", "no T1w image of the whole head and no brain mask"),
        ("MNI152NLin6Asym:res-3", "no brain mask at this resolution; usable: MNI152NLin6Asym:res-1, .*:res-5"),
        ("PNC:res-2", "no T1w image of the whole head and no brain mask at this resolution; usable: PNC:res-1"),
        ("MNI305:res-1", "at this resolution; usable: MNI305"),
        ("MNI305:cohort-1", "MNI305 has no cohorts"),
        ("MNIPediatricAsym", "write MNIPediatricAsym:cohort-X with X of 1, 2, 3, 4, 5, 6"),
        ("MNIInfant:cohort-12", "MNIInfant has no cohort 12, but 1, 2, .*, 10, 11"),
        ("MNI152NLin2009aSym:res-2", "built in, at 1 mm"),
        ("MNI152NLin2009aSym:cohort-1", "built in"),
    ],
)
def test_what_is_missing_is_said_in_one_line(real_names: Path, asked: str, words: str) -> None:
    with pytest.raises(UsageError, match=rf"^--output-spaces: {asked}: .*{words}") as caught:
        check_template(asked)
    assert "\n" not in str(caught.value)


def test_a_brain_extracted_image_alone_does_not_serve(store: Callable[..., Path]) -> None:
    head = store("Mine", mask="desc-brain")
    head.rename(head.with_name("tpl-Mine_res-01_desc-brain_T1w.nii.gz"))
    with pytest.raises(UsageError, match="no T1w image of the whole head"):
        check_template("Mine")
    (head.parent / "tpl-Mine_res-01_desc-brain_mask.nii.gz").rename(head)
    with pytest.raises(UsageError, match="no brain mask"):
        check_template("Mine")


def test_masks_and_heads_of_other_resolutions_are_no_pair(store: Callable[..., Path]) -> None:
    store("Mine", res="1")
    head = store("Mine", res="02")
    (head.parent / "tpl-Mine_res-1_T1w.nii.gz").unlink()
    (head.parent / "tpl-Mine_res-02_desc-brain_mask.nii.gz").unlink()
    with pytest.raises(UsageError, match="no T1w image with a brain mask on the same voxels"):
        check_template("Mine")


@pytest.mark.parametrize(
    ("stored", "taken"),
    [
        (["02", "01"], "1"),
        (["2", "1"], "1"),
        ([None, "01"], "1"),
        (["02", None], None),
        (["05", "02"], "2"),
        (["iso4mm"], "iso4mm"),
    ],
)
def test_without_a_resolution(store: Callable[..., Path], stored: list[str | None], taken: str | None) -> None:
    for res in stored:
        store("Mine", res=res)
    assert find_files(Space("Mine")).space.resolution == taken
    pinned = check_template("Mine")
    assert pinned == str(Space("Mine", None, taken))
    assert check_template(pinned) == pinned


def test_the_finest_is_by_the_voxels_of_what_is_stored(store: Callable[..., Path], make_head: Any) -> None:
    for res, spacing in (("02", 6.0), ("03", 3.0), ("04", 4.0)):
        nib.save(make_head((8, 8, 8), spacing), store("Mine", res=res))
    assert find_files(Space("Mine")).space.resolution == "3"
    (templateflow_home() / "tpl-Mine" / "tpl-Mine_res-03_T1w.nii.gz").write_bytes(b"no image")
    assert find_files(Space("Mine")).space.resolution == "4"


def test_a_link_that_leads_nowhere_is_not_stored(store: Callable[..., Path]) -> None:
    head = store("Mine")
    assert find_files(Space("Mine")).are_stored
    head.unlink()
    head.symlink_to("../.git/annex/objects/nothing")
    assert not find_files(Space("Mine")).are_stored


def test_a_description_that_cannot_be_read_is_no_obstacle(store: Callable[..., Path]) -> None:
    head = store("Mine")
    for text in ("{", "[]", "{}", json.dumps({"Species": "Homo sapiens"})):
        (head.parent / "template_description.json").write_text(text)
        assert check_template("Mine") == "Mine:res-1"


def test_a_folder_is_only_looked_at(real_names: Path) -> None:
    before = sorted(path for path in real_names.rglob("*"))
    code = (
        "import sys; from bids_spectsynth.preprocess.templates.templates import planned_template; "
        "print(planned_template('MNIInfant:cohort-2:res-1')); sys.exit('templateflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "tpl-MNIInfant/cohort-2/tpl-MNIInfant_cohort-2_res-1_T1w.nii.gz" in done.stdout
    assert sorted(path for path in real_names.rglob("*")) == before


def test_what_a_run_would_use(store: Callable[..., Path]) -> None:
    assert planned_template("MNI152NLin2009aSym") == "template MNI152NLin2009aSym: built in"
    head = store("Mine", cohort="3", res="2")
    line = planned_template("Mine:cohort-3")
    assert line == f"template Mine+3: tpl-Mine/cohort-3/{head.name} in {templateflow_home()}"
    head.write_bytes(b"")
    assert planned_template("Mine:cohort-3").startswith(f"{line}, not stored: a run would download it")
    assert "TemplateFlow's client" in planned_template("Other")
    with pytest.raises(UsageError, match="surface"):
        planned_template("fsaverage")


def test_damaged_files_are_named_before_the_work(store: Callable[..., Path], make_head: Any) -> None:
    head = store("Mine")
    inspect_template("Mine")
    whole = head.read_bytes()
    head.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UsageError, match=r"--output-spaces: template Mine: .*_T1w.nii.gz: damaged"):
        inspect_template("Mine")
    nib.save(make_head((8, 8, 8), 3.0), head)
    with pytest.raises(UsageError, match="not on the voxels of its brain mask"):
        inspect_template("Mine")


def test_a_template_beside_the_midline_is_said(store: Callable[..., Path], caplog: Any) -> None:
    head = store("Mine")
    inspect_template("Mine")
    assert not caplog.messages
    for path in head.parent.glob("*.nii.gz"):
        image = nib.load(path)
        affine = image.affine.copy()
        affine[0, 3] -= 100
        nib.save(nib.Nifti1Image(image.dataobj, affine), path)
    inspect_template("Mine")
    assert "the middle of its brain lies at x = -100 mm" in caplog.text
    assert fetch_template("Mine").mask.affine[0, 3] < -150
