"""BET, FLIRT and convert_xfm run through niwrap's typed wrappers, with errors in one line."""

import logging
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from niwrap.fsl import bet, convert_xfm, flirt
from styxdefs import (  # type: ignore[import-untyped]
    LocalRunner,
    StyxRuntimeError,
    StyxValidationError,
)

from bids_spectsynth.errors import ImageError
from bids_spectsynth.preprocess.fsl_environment import fsl_environment

#: FLIRT's search for a start, degrees either way about each axis.
SEARCH_DEGREES = 90


@dataclass(frozen=True)
class FslTools:
    """The three programs, writing into ``folder``.

    Parameters
    ----------
    folder : Path
        Absolute; each call makes a folder of its own in it.
    """

    folder: Path

    def bet(self, image: Path, *, threshold: float, robust: bool) -> Path:
        """Brain mask of an image by BET; ``threshold`` is its ``-f`` (0 to 1), ``robust`` its ``-R``."""
        try:
            outputs = bet(
                infile=image,
                maskfile="brain",
                fractional_intensity=threshold,
                binary_mask=True,
                robust_iters=robust,
                runner=self._runner(),
            )
        except (StyxRuntimeError, StyxValidationError, OSError) as error:
            raise _one_line("bet", error) from error
        return _existing("bet", outputs.binary_mask)

    def flirt(self, moving: Path, fixed: Path, *, dof: int, header_start: bool) -> Path:
        """Matrix file of a registration by correlation ratio, moving to fixed in FLIRT's own convention.

        ``header_start`` starts from the positions in the headers, without a search; else FLIRT searches.
        """
        search = None if header_start else [-SEARCH_DEGREES, SEARCH_DEGREES]
        try:
            outputs = flirt(
                in_file=moving,
                reference=fixed,
                out_file="moved.nii.gz",
                out_matrix_file="moving_to_fixed.mat",
                dof=dof,
                cost="corratio",
                cost_func="corratio",
                no_search=header_start,
                uses_qform=header_start,
                searchr_x=search,
                searchr_y=search,
                searchr_z=search,
                interp="trilinear",
                runner=self._runner(),
            )
        except (StyxRuntimeError, StyxValidationError, OSError) as error:
            raise _one_line("flirt", error) from error
        return _existing("flirt", outputs.out_matrix_file)

    def invert(self, matrix: Path) -> Path:
        """Inverse of a FLIRT matrix by convert_xfm."""
        try:
            outputs = convert_xfm(in_file=matrix, out_file="inverse.mat", invert_xfm=True, runner=self._runner())
        except (StyxRuntimeError, StyxValidationError, OSError) as error:
            raise _one_line("convert_xfm", error) from error
        return _existing("convert_xfm", outputs.output_transformation)

    def _runner(self) -> LocalRunner:
        # The runner would attach a handler that prints every line at DEBUG level, unless there is one already.
        logger = logging.getLogger(LocalRunner.logger_name)
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())
        return LocalRunner(data_dir=self.folder, environ=fsl_environment())


def fsl_version() -> str:
    """FSL's version: ``$FSLDIR/etc/fslversion``, else what ``flirt -version`` says; asked once per process."""
    env = fsl_environment()
    stated = Path(env.get("FSLDIR", "")) / "etc" / "fslversion"
    if env.get("FSLDIR") and stated.is_file():
        return stated.read_text(encoding="utf-8").split(":")[0].strip() or "unknown"
    program = shutil.which("flirt", path=env.get("PATH", ""))
    return _said_version(program) if program is not None else "unknown"


@cache
def _said_version(program: str) -> str:
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
