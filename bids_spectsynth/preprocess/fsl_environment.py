"""Where FSL's programs are, and the environment that they need."""

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from bids_spectsynth.errors import UsageError
from bids_spectsynth.preprocess.fsl_options import FslOptions, is_image_file

FSL_PROGRAMS = ("bet", "flirt", "convert_xfm")
#: Where FSL's own bet, a shell script, looks for the programs that it calls.
_HELPER = re.compile(r"\$\{?FSLDIR\}?/bin/(\w+)")
_BET_HELPERS = ("remove_ext", "imtest", "bet2")
_ROBUST_HELPERS = ("fslval", "fslstats")
#: A calculator of the system. Without it, some versions of bet -R end after the first pass, and say nothing.
_CALCULATOR = re.compile(r"\|\s*(dc|bc)\b")
#: Programs that start a container, the first that is found.
CONTAINER_PROGRAMS: Mapping[str, tuple[str, ...]] = {
    "docker": ("docker",),
    "singularity": ("apptainer", "singularity"),
}


def fsl_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Environment for FSL programs: ``FSLDIR``, its programs first on PATH, compressed NIfTI, one thread.

    Where ``FSLDIR`` is not set, it follows from the place of bet on PATH: bet itself cannot do without.
    """
    env = dict(os.environ if environ is None else environ)
    # FSL's linear algebra would take all processors for its small matrices.
    env |= {"FSLOUTPUTTYPE": "NIFTI_GZ", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    folder = env.get("FSLDIR") or _folder_of_bet(env.get("PATH", ""))
    if folder:
        env["FSLDIR"] = folder
        # First, so that no program of another version stands beside those that bet takes from FSLDIR.
        own = [str(Path(folder) / "bin"), str(Path(folder) / "share" / "fsl" / "bin")]
        env["PATH"] = os.pathsep.join([*own, env.get("PATH", "")]).strip(os.pathsep)
    return env


def missing_programs(environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """FSL programs that are found neither in ``$FSLDIR`` nor on PATH."""
    path = fsl_environment(environ).get("PATH", "")
    return tuple(program for program in FSL_PROGRAMS if shutil.which(program, path=path) is None)


def require_fsl(options: FslOptions) -> None:
    """Raise an error in one line if FSL's programs cannot be started.

    Raises
    ------
    UsageError
        FSL, a program that bet calls, or the program that starts containers is missing; the image is no file.
    """
    if options.runner != "local":
        container_program(options.runner)
        image = options.image
        if options.runner == "singularity" and image and is_image_file(image) and not Path(image).exists():
            raise UsageError(f"--fsl-image: {image} does not exist")
        return
    missing = missing_programs()
    if missing:
        raise UsageError(
            f"--backend fsl: {', '.join(missing)} not found; set FSLDIR, put FSL on PATH, or use --backend embedded"
        )
    env = fsl_environment()
    lacking = _missing_helpers(env, options.robust)
    if lacking:
        where = f"FSLDIR={env['FSLDIR']}" if env.get("FSLDIR") else "FSLDIR is not set"
        raise UsageError(
            f"--backend fsl: bet needs {', '.join(lacking)}, not found ({where}); "
            "complete the installation, or use --backend embedded"
        )


def container_program(runner: str) -> str:
    """Path of the program that starts containers.

    Raises
    ------
    UsageError
        It is not on PATH.
    """
    names = CONTAINER_PROGRAMS[runner]
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        raise UsageError(f"--fsl-runner {runner}: {' or '.join(names)} not found on PATH")
    return found


def _missing_helpers(env: Mapping[str, str], robust: bool) -> tuple[str, ...]:
    """Programs that the script bet calls and that are not there; what it calls is read from the script itself."""
    bet = Path(shutil.which("bet", path=env.get("PATH", "")) or "")
    with bet.open("rb") as stream:
        if stream.read(2) != b"#!":
            return ()
    text = bet.read_text(encoding="utf-8", errors="replace")
    called = set(_HELPER.findall(text))
    wanted = [name for name in (*_BET_HELPERS, *(_ROBUST_HELPERS if robust else ())) if name in called]
    folder = str(Path(env.get("FSLDIR", "")) / "bin") if env.get("FSLDIR") else ""
    lacking = [name for name in wanted if not folder or shutil.which(name, path=folder) is None]
    calculators = sorted(set(_CALCULATOR.findall(text))) if robust else []
    return (*lacking, *(name for name in calculators if shutil.which(name, path=env.get("PATH", "")) is None))


def _folder_of_bet(path: str) -> str | None:
    """``FSLDIR`` of the bet on PATH, which lies in its ``bin`` or, a wrapper, in its ``share/fsl/bin``."""
    bet = shutil.which("bet", path=path)
    if bet is None:
        return None
    folder = Path(bet).resolve().parent
    if folder.parts[-3:] == ("share", "fsl", "bin"):
        return str(folder.parents[2])
    return str(folder.parent) if folder.name == "bin" else None
