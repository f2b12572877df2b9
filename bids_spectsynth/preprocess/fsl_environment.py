"""Where FSL's programs are, and the environment that they need."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from bids_spectsynth.errors import UsageError

FSL_PROGRAMS = ("bet", "flirt", "convert_xfm")


def fsl_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Environment for FSL programs: ``$FSLDIR/bin`` on PATH, compressed NIfTI output."""
    env = dict(os.environ if environ is None else environ)
    if env.get("FSLDIR"):
        folders = [str(Path(env["FSLDIR"]) / "share" / "fsl" / "bin"), str(Path(env["FSLDIR"]) / "bin")]
        env["PATH"] = os.pathsep.join([env.get("PATH", ""), *folders]).strip(os.pathsep)
    env["FSLOUTPUTTYPE"] = "NIFTI_GZ"
    return env


def missing_programs(environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """FSL programs that are found neither on PATH nor in ``$FSLDIR``."""
    path = fsl_environment(environ).get("PATH", "")
    return tuple(program for program in FSL_PROGRAMS if shutil.which(program, path=path) is None)


def require_fsl() -> None:
    """Raise a UsageError that names the FSL programs which are missing."""
    missing = missing_programs()
    if missing:
        raise UsageError(
            f"--backend fsl: {', '.join(missing)} not found; set FSLDIR, put FSL on PATH, or use --backend embedded"
        )
