"""BET, FLIRT and convert_xfm run through niwrap's typed wrappers, with errors in one line."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from niwrap.fsl import bet, convert_xfm, flirt
from styxdefs import StyxRuntimeError, StyxValidationError  # type: ignore[import-untyped]

from bids_spectsynth.errors import ImageError
from bids_spectsynth.preprocess.backends.fsl.environment import fsl_environment
from bids_spectsynth.preprocess.backends.fsl.options import FlirtFunction, FslOptions
from bids_spectsynth.preprocess.backends.fsl.runners import image_name, make_runner

#: FLIRT's search for a start, degrees either way about each axis.
SEARCH_DEGREES = 90
#: What goes wrong outside of the programs: options that niwrap refuses, no such program, a path that cannot be mounted.
_FAILURES = (StyxRuntimeError, StyxValidationError, OSError, ValueError)


@dataclass(frozen=True)
class FslTools:
    """The three programs, writing into ``folder``.

    Parameters
    ----------
    folder : Path
        Absolute; each call makes a folder of its own in it. Its path needs no quotes: bet gives it none.
    options : FslOptions
    """

    folder: Path
    options: FslOptions

    def bet(self, image: Path, *, robust: bool) -> Path:
        """Brain mask of an image by BET; ``robust`` is its ``-R``."""
        try:
            # Not without the brain image (-n): -R finds the brain's centre in it.
            outputs = bet(
                infile=image,
                maskfile="brain",
                fractional_intensity=self.options.fractional_intensity,
                binary_mask=True,
                robust_iters=robust,
                runner=make_runner(self.options, self.folder),
            )
        except _FAILURES as error:
            raise _one_line("bet", error) from error
        return _existing("bet", outputs.binary_mask)

    def flirt(self, moving: Path, fixed: Path, *, dof: int, cost: FlirtFunction, header_start: bool) -> Path:
        """Matrix file of a registration, moving to fixed in FLIRT's own convention.

        Parameters
        ----------
        moving, fixed : Path
            Stored upright; the fixed one is a brain.
        dof : {6, 12}
            Rigid, or affine.
        cost : {'corratio', 'normmi', 'mutualinfo'}
            FLIRT's cost function, of the search as of the rest.
        header_start : bool
            Start from the positions in the headers, without a search; else FLIRT searches.

        Raises
        ------
        ImageError
            FLIRT failed, or wrote no matrix.
        """
        search = None if header_start else [-SEARCH_DEGREES, SEARCH_DEGREES]
        try:
            outputs = flirt(
                in_file=moving,
                reference=fixed,
                out_file="moved.nii.gz",
                out_matrix_file="moving_to_fixed.mat",
                dof=dof,
                cost=cost,
                cost_func=cost,
                no_search=header_start,
                uses_qform=header_start,
                searchr_x=search,
                searchr_y=search,
                searchr_z=search,
                interp="trilinear",
                runner=make_runner(self.options, self.folder),
            )
        except _FAILURES as error:
            raise _one_line("flirt", error) from error
        return _existing("flirt", outputs.out_matrix_file)

    def invert(self, matrix: Path) -> Path:
        """Inverse of a FLIRT matrix by convert_xfm."""
        try:
            outputs = convert_xfm(
                in_file=matrix,
                out_file="inverse.mat",
                invert_xfm=True,
                runner=make_runner(self.options, self.folder),
            )
        except _FAILURES as error:
            raise _one_line("convert_xfm", error) from error
        return _existing("convert_xfm", outputs.output_transformation)


def fsl_version(options: FslOptions, package: str) -> str:
    """Version of FSL.

    ``$FSLDIR/etc/fslversion``, else that of the conda package, else what ``flirt -version`` says; of a container, its
    image.

    Parameters
    ----------
    options : FslOptions
    package : str
        Name of the conda package that holds the program, such as ``fsl-bet2``.
    """
    if options.runner != "local":
        return f"image {image_name(options)}"
    env = fsl_environment()
    if env.get("FSLDIR"):
        version = _installed_version(Path(env["FSLDIR"]), package)
        if version:
            return version
    program = shutil.which("flirt", path=env.get("PATH", ""))
    return _reported_version(program) if program is not None else "unknown"


def _installed_version(folder: Path, package: str) -> str | None:
    stated = folder / "etc" / "fslversion"
    if stated.is_file():
        return stated.read_text(encoding="utf-8").split(":")[0].strip() or None
    for record in sorted((folder / "conda-meta").glob(f"{package}-*.json")):
        content = json.loads(record.read_text(encoding="utf-8"))
        if content.get("name") == package:
            return f"{package} {content.get('version')}"
    return None


@cache
def _reported_version(program: str) -> str:
    try:
        # Not by the runner, which makes a folder for each call.
        done = subprocess.run(  # noqa: S603 - a program found on PATH, no shell
            [program, "-version"], capture_output=True, text=True, env=fsl_environment(), timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return next((line.strip() for line in done.stdout.splitlines() if line.strip()), "unknown")


def _one_line(program: str, error: Exception) -> ImageError:
    if isinstance(error, StyxRuntimeError):
        tail = [line.strip() for line in (*(error.stdout_tail or []), *(error.stderr_tail or [])) if line.strip()]
        words = " | ".join(tail[-3:]) or "no message"
        return ImageError(f"{program} failed with code {error.return_code}: {words}")
    return ImageError(f"{program} could not be run: {' '.join(str(error).split())}")


def _existing(program: str, path: Path) -> Path:
    if not path.is_file() or path.stat().st_size == 0:
        raise ImageError(f"{program} ended without an error but did not write {path.name}; check the FSL installation")
    return path
