"""The one place that knows the backends by name."""

from bids_spectsynth.errors import UsageError
from bids_spectsynth.options.settings import Settings
from bids_spectsynth.preprocess.backends.base import Backend
from bids_spectsynth.preprocess.backends.fsl.environment import lost_folder, missing_programs, require_fsl
from bids_spectsynth.preprocess.backends.fsl.options import DEFAULT_OPTIONS, FslOptions

BACKENDS = ("fsl", "embedded")


def resolve_backend(settings: Settings) -> str:
    """Name of the backend that will be used.

    ``auto`` is FSL where it is installed or a container is asked for, else the embedded one. Resolved before the
    workflow is built, so that a change of the machine changes every cache key.

    Raises
    ------
    UsageError
        FSL was asked for and cannot be started, or options of FSL were given and there is none.
    """
    options = FslOptions.of(settings)
    if settings.backend == "embedded":
        return "embedded"
    if options.image is not None and options.runner == "local":
        raise UsageError("--fsl-image: needs --fsl-runner docker or singularity")
    if settings.backend == "auto" and options.runner == "local" and missing_programs():
        if settings.fsl_options:
            lost = lost_folder()
            why = f"FSLDIR={lost} does not exist" if lost else "FSL is not installed"
            raise UsageError(f"{settings.fsl_options[0]}: {why}; set FSLDIR, or leave the option out")
        return "embedded"
    require_fsl(options)
    return "fsl"


def make_backend(name: str, threads: int, fsl: FslOptions = DEFAULT_OPTIONS) -> Backend:
    """Backend by its resolved name; only the libraries of that one are imported.

    Parameters
    ----------
    name : str
    threads : int
        For the embedded backend; FSL's programs use one.
    fsl : FslOptions
        For the fsl backend; the embedded one has no options.

    Returns
    -------
    Backend

    Raises
    ------
    UsageError
        The name is unknown, or FSL is not installed.
    """
    if name == "fsl":
        from bids_spectsynth.preprocess.backends.fsl.backend import FslBackend

        return FslBackend(fsl)
    if name == "embedded":
        from bids_spectsynth.preprocess.backends.embedded import EmbeddedBackend

        return EmbeddedBackend(threads)
    raise UsageError(f"--backend: unknown backend {name!r}; choose from {', '.join(BACKENDS)}")
