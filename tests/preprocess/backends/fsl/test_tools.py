"""The commands that FSL gets, and FSL as it is installed: bet is a script that calls others, in FSLDIR."""

import json
import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from styxdefs import DryRunner

from bids_spectsynth.errors import ImageError, UsageError
from bids_spectsynth.preprocess.backends.choice import resolve_backend
from bids_spectsynth.preprocess.backends.fsl import backend as fsl_backend
from bids_spectsynth.preprocess.backends.fsl import tools as fsl_tools
from bids_spectsynth.preprocess.backends.fsl.backend import FslBackend
from bids_spectsynth.preprocess.backends.fsl.environment import (
    fsl_environment,
    lost_folder_warning,
    missing_programs,
    robust_warning,
)
from bids_spectsynth.preprocess.backends.fsl.options import FslOptions
from bids_spectsynth.preprocess.backends.fsl.tools import FslTools, fsl_version
from bids_spectsynth.preprocess.workflow.build import preprocess

#: As FSL's own: programs by FSLDIR, no quotes, one pass without a calculator.
_BET = """#!/bin/sh
IN=`${FSLDIR}/bin/remove_ext $1`
OUT=`${FSLDIR}/bin/remove_ext $2`
[ `$FSLDIR/bin/imtest $IN` = 1 ] || { echo "Error: input image $IN not valid"; exit 1; }
shift 2
${FSLDIR}/bin/bet2 $IN.nii.gz $OUT $@
case "$@" in *-R*) ${FSLDIR}/bin/fslstats $OUT -C && ${FSLDIR}/bin/fslval $IN dim1 && echo "1 1 + p" | dc - ;; esac
"""
_HELPERS = {
    "remove_ext": 'echo "${1%.nii.gz}"',
    "imtest": 'if [ -f "$1.nii.gz" ]; then echo 1; else echo 0; fi',
    "fslstats": '[ -f "$1.nii.gz" ] || exit 1; echo 1 2 3',
    "fslval": "echo 10",
}


def write_script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def fsl_dir(fake_fsl: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An FSLDIR, not yet on PATH: the stand-ins, with bet as a script around bet2."""
    folder = tmp_path / "fsl-6.0.7"
    (folder / "bin").mkdir(parents=True)
    for name in ("flirt", "convert_xfm"):
        shutil.copy(fake_fsl.folder / name, folder / "bin" / name)
    # The stand-in goes by its file's name.
    stand_in = (
        (fake_fsl.folder / "bet")
        .read_text()
        .replace("name, args = pathlib.Path(sys.argv[0]).name", "name, args = 'bet'")
    )
    write_script(folder / "bin" / "bet2", stand_in)
    write_script(folder / "bin" / "bet", _BET)
    for name, line in _HELPERS.items():
        write_script(folder / "bin" / name, f"#!/bin/sh\n{line}\n")
    system = tmp_path / "system"
    system.mkdir()
    write_script(system / "dc", "#!/bin/sh\necho 2\n")
    monkeypatch.setenv("PATH", f"{system}:/usr/bin:/bin")
    return folder


def head() -> nib.Nifti1Image:
    x, y, z = np.indices((20, 22, 18)) - np.array([10, 11, 9])[:, None, None, None]
    data = np.where(x**2 + y**2 + z**2 < 60, 100.0 + x, 0).astype(np.float32)
    return nib.Nifti1Image(data, np.diag([-5.0, 5, 5, 1]))


@pytest.fixture
def dry(monkeypatch: pytest.MonkeyPatch) -> DryRunner:
    """Runs nothing and keeps the last command."""
    runner = DryRunner()
    monkeypatch.setattr(fsl_tools, "make_runner", lambda options, folder: runner)
    return runner


@pytest.mark.parametrize(("robust", "flag"), [(True, ["-R"]), (False, [])])
def test_the_command_of_bet(dry: DryRunner, robust: bool, flag: list[str]) -> None:
    tools = FslTools(Path("/w"), FslOptions(fractional_intensity=0.35))
    with pytest.raises(ImageError, match="did not write brain_mask"):
        tools.bet(Path("/w/head.nii.gz"), robust=robust)
    assert dry.last_cargs == ["bet", "/w/head.nii.gz", "brain", "-f", "0.35", "-m", *flag]


@pytest.mark.parametrize("dof", [6, 12])
@pytest.mark.parametrize("cost", ["corratio", "normmi"])
@pytest.mark.parametrize("header_start", [True, False])
def test_the_command_of_flirt(dry: DryRunner, dof: int, header_start: bool, cost: Any) -> None:
    with pytest.raises(ImageError, match="did not write moving_to_fixed"):
        FslTools(Path("/w"), FslOptions()).flirt(Path("/w/m.nii.gz"), Path("/w/f.nii.gz"), dof=dof, cost=cost,
                                                 header_start=header_start)  # fmt: skip
    files = ["-in", "/w/m.nii.gz", "-ref", "/w/f.nii.gz", "-out", "moved.nii.gz", "-omat", "moving_to_fixed.mat"]
    given = ["-cost", cost, "-searchcost", cost, "-dof", str(dof), "-interp", "trilinear"]
    search = [word for axis in "xyz" for word in (f"-searchr{axis}", "-90", "90")]
    start = ["-nosearch", "-usesqform"] if header_start else search
    assert dry.last_cargs == ["flirt", *files, *given, *start]


def test_the_command_of_convert_xfm(dry: DryRunner) -> None:
    with pytest.raises(ImageError, match=r"did not write inverse\.mat"):
        FslTools(Path("/w"), FslOptions()).invert(Path("/w/a.mat"))
    assert dry.last_cargs == ["convert_xfm", "-omat", "inverse.mat", "-inverse", "/w/a.mat"]


@pytest.mark.parametrize("known", ["FSLDIR", "PATH", "wrapper"])
@pytest.mark.parametrize("place", ["work", "work [1] of $me"])
def test_bet_runs_as_fsls_script(
    fsl_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: str, place: str
) -> None:
    if known == "FSLDIR":
        monkeypatch.setenv("FSLDIR", str(fsl_dir))
    elif known == "PATH":
        monkeypatch.setenv("PATH", f"{fsl_dir}/bin", prepend=":")
    else:
        wrappers = fsl_dir / "share" / "fsl" / "bin"
        wrappers.mkdir(parents=True)
        for name in ("bet", "flirt", "convert_xfm"):
            write_script(wrappers / name, f'#!/bin/sh\nexec {fsl_dir}/bin/{name} "$@"\n')
        monkeypatch.setenv("PATH", str(wrappers), prepend=":")
    (tmp_path / place).mkdir()
    mask = FslBackend(folder=tmp_path / place).extract_brain(head(), "T1w")
    np.testing.assert_array_equal(np.asanyarray(mask.dataobj), np.asanyarray(head().dataobj) > 50)
    assert list((tmp_path / place).iterdir()) == []


@pytest.mark.parametrize("lacking", ["remove_ext", "imtest", "bet2"])
def test_what_bet_lacks_is_named_before_it_runs(
    fsl_dir: Path, make_options: Any, monkeypatch: pytest.MonkeyPatch, lacking: str
) -> None:
    monkeypatch.setenv("FSLDIR", str(fsl_dir))
    assert resolve_backend(make_options(backend="auto")) == "fsl"
    (fsl_dir / "bin" / lacking).unlink()
    for backend in ("auto", "fsl"):
        with pytest.raises(UsageError, match=rf"bet needs {lacking}, not found \(FSLDIR={fsl_dir}\)"):
            resolve_backend(make_options(backend=backend))


@pytest.mark.parametrize("lacking", ["fslstats", "fslval", "dc", None])
def test_what_only_the_robust_bet_lacks_is_a_warning(
    fsl_dir: Path, tmp_path: Path, make_options: Any, monkeypatch: pytest.MonkeyPatch, lacking: str | None
) -> None:
    monkeypatch.setenv("FSLDIR", str(fsl_dir))
    monkeypatch.setenv("PATH", str(tmp_path / "system"))
    if lacking is not None:
        (tmp_path / "system" / lacking if lacking == "dc" else fsl_dir / "bin" / lacking).unlink()
    assert resolve_backend(make_options(backend="fsl")) == "fsl"
    warning = robust_warning(FslOptions())
    assert (warning or "").startswith(f"bet -R may need {lacking}, not found" if lacking else "")
    assert (warning is None) is (lacking is None)
    assert robust_warning(FslOptions(robust=False)) is robust_warning(FslOptions(runner="docker")) is None


def test_resolve_backend__a_folder_of_fsl_that_is_not_there(make_options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FSLDIR", "/opt/no-fsl")
    monkeypatch.setenv("PATH", "/nowhere")
    for options, words in (
        ({"backend": "fsl"}, r"bet, flirt, convert_xfm not found \(FSLDIR=/opt/no-fsl does not exist\)"),
        ({"backend": "auto", "bet_robust": "off"}, "--bet-robust: FSLDIR=/opt/no-fsl does not exist"),
    ):
        with pytest.raises(UsageError, match=words):
            resolve_backend(make_options(**options))
    assert resolve_backend(make_options(backend="auto")) == "embedded"
    assert "FSLDIR=/opt/no-fsl does not exist" in str(lost_folder_warning("auto"))
    assert lost_folder_warning("embedded") is None, "who asks for it needs no FSL"


def test_the_warning_is_written_once(
    fsl_dir: Path, tmp_path: Path, make_case: Any, make_options: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    monkeypatch.setenv("FSLDIR", str(fsl_dir))
    monkeypatch.setenv("PATH", str(tmp_path / "system"))
    (tmp_path / "system" / "dc").unlink()
    preprocess([], make_options(backend="fsl"))
    assert [record.message for record in caplog.records if "bet -R" in record.message] == [robust_warning(FslOptions())]


def test_fsldir_comes_before_another_fsl_on_path(fsl_dir: Path, fake_fsl: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {"FSLDIR": str(fsl_dir), "PATH": str(fake_fsl.folder)}
    assert shutil.which("flirt", path=fsl_environment(environ)["PATH"]) == str(fsl_dir / "bin" / "flirt")
    assert fsl_environment(environ)["FSLOUTPUTTYPE"] == "NIFTI_GZ"
    assert missing_programs({"PATH": "/nowhere", "FSLDIR": "/nowhere"}) == ("bet", "flirt", "convert_xfm")
    assert "FSLDIR" not in fsl_environment({"PATH": str(fake_fsl.folder)})


def test_a_mask_in_another_order_or_on_other_voxels(
    fake_fsl: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = head()
    turned = nib.as_closest_canonical(image)
    inside = nib.Nifti1Image((np.asanyarray(turned.dataobj) > 50).astype(np.uint8), turned.affine)
    flipped = inside.as_reoriented(np.array([[0, -1], [1, 1], [2, 1]]))

    def write(mask: nib.Nifti1Image) -> None:
        nib.save(mask, tmp_path / "mask.nii.gz")
        monkeypatch.setattr(fsl_backend.FslTools, "bet", lambda *args, **kwargs: tmp_path / "mask.nii.gz")

    write(flipped)
    mask = FslBackend(folder=tmp_path).extract_brain(image, "T1w")
    np.testing.assert_array_equal(np.asanyarray(mask.dataobj), np.asanyarray(image.dataobj) > 50)
    write(nib.Nifti1Image(np.asanyarray(inside.dataobj), inside.affine + np.diag([0.5, 0, 0, 0])))
    with pytest.raises(ImageError, match="on other voxels"):
        FslBackend(folder=tmp_path).extract_brain(image, "T1w")


def test_matrices_in_decimal_and_hexadecimal_numbers(tmp_path: Path) -> None:
    path = tmp_path / "m.mat"
    path.write_text("1  0  0  0x1.8p+1  \n0  1  0  -0x1p-1  \n0 0 1 0 \n0 0 0 1 \n\n")
    np.testing.assert_array_equal(fsl_backend._read_matrix(path)[:2, 3], [3, -0.5])
    for text in ("1 0 0\n0 1 0\n", "1 0 0 nan\n" * 4, "not a matrix\n", "1 0\n0\n"):
        path.write_text(text)
        with pytest.raises(ImageError, match=r"m\.mat: FSL wrote no"):
            fsl_backend._read_matrix(path)


def test_the_version_of_a_conda_installation(fsl_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FSLDIR", str(fsl_dir))
    assert fsl_version(FslOptions(), "fsl-bet2") == "FLIRT version 6.0"
    (fsl_dir / "conda-meta").mkdir()
    for name, version in (("fsl-bet2", "2111.8"), ("fsl-bet2-extra", "1"), ("fsl-flirt", "2111.4")):
        record = {"name": name, "version": version}
        (fsl_dir / "conda-meta" / f"{name}-{version}-h0_0.json").write_text(json.dumps(record))
    assert [fsl_version(FslOptions(), name) for name in ("fsl-bet2", "fsl-flirt")] == [
        "fsl-bet2 2111.8",
        "fsl-flirt 2111.4",
    ]
    (fsl_dir / "etc").mkdir()
    (fsl_dir / "etc" / "fslversion").write_text("6.0.7.16:abc\n")
    assert fsl_version(FslOptions(), "fsl-bet2") == "6.0.7.16"
