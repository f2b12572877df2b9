"""What starts FSL's programs: this machine, Docker, or Singularity (Apptainer)."""

import logging
from pathlib import Path

from niwrap.fsl import BET_METADATA, CONVERT_XFM_METADATA, FLIRT_METADATA
from styxdefs import LocalRunner, Runner  # type: ignore[import-untyped]
from styxdocker import DockerRunner
from styxsingularity import SingularityRunner  # type: ignore[import-untyped]

from bids_spectsynth.preprocess.backends.fsl.environment import container_program, fsl_environment
from bids_spectsynth.preprocess.backends.fsl.options import FslOptions, is_image_file

_METADATA = (BET_METADATA, FLIRT_METADATA, CONVERT_XFM_METADATA)
#: Of the environment, a container needs this alone; FSLDIR and PATH are the image's.
_CONTAINER_ENVIRONMENT = {"FSLOUTPUTTYPE": "NIFTI_GZ"}


def make_runner(options: FslOptions, folder: Path) -> Runner:
    """Runner for niwrap's wrappers; each call makes a folder of its own in ``folder``.

    Raises
    ------
    UsageError
        The program that starts containers is not on PATH.
    """
    if options.runner == "local":
        _keep_quiet(LocalRunner)
        return LocalRunner(data_dir=folder, environ=fsl_environment())
    program = container_program(options.runner)
    overrides = {metadata.container_image_tag: options.image for metadata in _METADATA} if options.image else None
    if options.runner == "docker":
        _keep_quiet(DockerRunner)
        return DockerRunner(
            data_dir=folder, docker_executable=program, image_overrides=overrides, environ=_CONTAINER_ENVIRONMENT
        )
    _keep_quiet(_SingularityRunner)
    return _SingularityRunner(
        data_dir=folder,
        singularity_executable=program,
        # The host's FSLDIR would overrule the image's.
        singularity_extra_args=["--cleanenv", "--no-mount", "hostfs"],
        image_overrides=overrides,
        environ=_CONTAINER_ENVIRONMENT,
    )


def image_name(options: FslOptions) -> str:
    """The container image by its name, or by its file's name; no local folder."""
    image = options.image or str(BET_METADATA.container_image_tag)
    return Path(image).name if options.runner == "singularity" and is_image_file(image) else image


class _SingularityRunner(SingularityRunner):  # type: ignore[misc]  # its package is not typed
    """Takes image files and names of other registries too, not only of Docker's."""

    def _transform_container_tag(self, container_tag: str) -> str:
        if is_image_file(container_tag) or "://" in container_tag:
            return container_tag
        return str(super()._transform_container_tag(container_tag))


def _keep_quiet(runner: type) -> None:
    # A runner would attach a handler that prints every line at DEBUG level, unless there is one already.
    logger = logging.getLogger(runner.logger_name)  # type: ignore[attr-defined]  # all of them have one
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
