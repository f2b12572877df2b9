"""Where FSL's programs are, and the environment that they need."""

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from bids_spectsynth.errors import UsageError
from bids_spectsynth.preprocess.backends.fsl.options import FslOptions, is_image_file

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
            f"--backend fsl: {', '.join(missing)} not found{_lost_folder_words()}; "
            "set FSLDIR, put FSL on PATH, or use --backend embedded"
        )
    env = fsl_environment()
    lacking = _missing_helpers(_bet_script(env), _BET_HELPERS, env)
    if lacking:
        where = f"FSLDIR={env['FSLDIR']}" if env.get("FSLDIR") else "FSLDIR is not set"
        raise UsageError(
            f"--backend fsl: bet needs {', '.join(lacking)}, not found ({where}); "
            "complete the installation, or use --backend embedded"
        )


def lost_folder() -> str | None:
    """``FSLDIR`` where it is set and no such folder is there."""
    folder = os.environ.get("FSLDIR")
    return folder if folder and not Path(folder).is_dir() else None


def _lost_folder_words() -> str:
    lost = lost_folder()
    return f" (FSLDIR={lost} does not exist)" if lost else ""


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


def lost_folder_warning(backend: str) -> str | None:
    """A line where ``--backend auto`` found no FSL because ``FSLDIR`` leads nowhere; None otherwise."""
    lost = lost_folder() if backend == "auto" else None
    return None if lost is None else f"FSLDIR={lost} does not exist: the embedded backend prepares the images"


def robust_warning(options: FslOptions) -> str | None:
    """A line where bet can run but its ``-R`` lacks a program; None where all is well, or cannot be known."""
    if options.runner != "local" or not options.robust:
        return None
    env = fsl_environment()
    text = _bet_script(env)
    lacking = _missing_helpers(text, _ROBUST_HELPERS, env)
    lacking += [name for name in sorted(set(_CALCULATOR.findall(text))) if shutil.which(name, path=env["PATH"]) is None]
    if not lacking:
        return None
    return (
        f"bet -R may need {', '.join(lacking)}, not found: it could end after one pass; install it or --bet-robust off"
    )


def _bet_script(env: Mapping[str, str]) -> str:
    """The text of bet, empty where it is no script."""
    bet = shutil.which("bet", path=env.get("PATH", ""))
    content = Path(bet).read_bytes() if bet is not None else b""
    return content.decode("utf-8", errors="replace") if content.startswith(b"#!") else ""


def _missing_helpers(text: str, names: Sequence[str], env: Mapping[str, str]) -> list[str]:
    """Those of the programs that the script calls in ``$FSLDIR/bin`` and that are not there."""
    called = set(_HELPER.findall(text))
    folder = str(Path(env["FSLDIR"]) / "bin") if env.get("FSLDIR") else ""
    return [name for name in names if name in called and (not folder or shutil.which(name, path=folder) is None)]


def _folder_of_bet(path: str) -> str | None:
    """``FSLDIR`` of the bet on PATH, which lies in its ``bin`` or, a wrapper, in its ``share/fsl/bin``."""
    bet = shutil.which("bet", path=path)
    if bet is None:
        return None
    folder = Path(bet).resolve().parent
    if folder.parts[-3:] == ("share", "fsl", "bin"):
        return str(folder.parents[2])
    return str(folder.parent) if folder.name == "bin" else None
