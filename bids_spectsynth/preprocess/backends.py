"""The one place that knows the backends by name."""

from bids_spectsynth.errors import UsageError
from bids_spectsynth.preprocess.backend import Backend
from bids_spectsynth.preprocess.fsl_environment import missing_programs, require_fsl
from bids_spectsynth.settings import BackendChoice

BACKENDS = ("fsl", "embedded")


def resolve_backend(choice: BackendChoice) -> str:
    """Name of the backend that will be used: ``auto`` is FSL where it is installed, else the embedded one.

    Resolved once, before the workflow is built, so that a change of the machine changes every cache key.

    Raises
    ------
    UsageError
        FSL was asked for and is not installed.
    """
    if choice == "auto":
        return "embedded" if missing_programs() else "fsl"
    if choice == "fsl":
        require_fsl()
    return choice


def make_backend(name: str, threads: int, seed: int) -> Backend:
    """Backend by its resolved name; only the libraries of that one are imported.

    Raises
    ------
    UsageError
        The name is unknown, or FSL is not installed.
    """
    if name == "fsl":
        from bids_spectsynth.preprocess.fsl_backend import FslBackend

        return FslBackend(threads, seed)
    if name == "embedded":
        from bids_spectsynth.preprocess.embedded_backend import EmbeddedBackend

        return EmbeddedBackend(threads, seed)
    raise UsageError(f"--backend: unknown backend {name!r}; choose from {', '.join(BACKENDS)}")
