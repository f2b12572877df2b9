"""A container engine for the tests: Docker where there is one, else podman in a storage of its own.

Podman is set up from Debian's packages, and the base image is made by mmdebstrap, so that neither an engine nor an
image registry is needed. As a script it runs one command, or a shell, with that engine, from the repository's root:

    python tests/container/container_engine.py docker build --build-arg WITH_FSL=0 -t bids_spectsynth .
    python tests/container/container_engine.py bash
"""

import ast
import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

BASE_IMAGE = "docker.io/library/debian:bookworm-slim"
#: The programs that are needed without Docker; Debian's packages have the same names.
TOOLS = ("podman", "runc", "mmdebstrap")
#: Bytes that the layers of the image and of its build need for a while, at most.
NEEDED_SPACE = 12_000_000_000
#: Bytes of memory from which on they are kept there: writing and removing them takes minutes on a slow disk.
ENOUGH_MEMORY = NEEDED_SPACE + 5_000_000_000
#: What the real slim image leaves out too.
UNUSED = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")


class EngineUnavailableError(Exception):
    """There is no container engine and none can be set up; one line says why."""


@dataclass(frozen=True)
class Engine:
    """How to call the engine.

    Parameters
    ----------
    client : str
        ``docker``, or ``podman``, which takes the same arguments.
    build_env, run_env : mapping
        Environments for ``build`` and for everything else. Only builds see pip's configuration of this machine.
    genuine : bool
        Whether it is Docker's own engine.
    """

    client: str
    build_env: Mapping[str, str]
    run_env: Mapping[str, str]
    genuine: bool

    def build(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return _call([self.client, "build", *arguments], self.build_env)

    def call(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return _call([self.client, *arguments], self.run_env)

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """``run --rm``, with the exit code of the program in the container."""
        done = self.call("run", "--rm", *arguments)
        if self.genuine or self.client == "podman" or done.returncode != 0:
            return done
        # podman's service, before its release 4.6, tells Docker 0 for every container that is removed at its end.
        command = ["podman", "events", "--stream=false", "--filter", "event=died", "--format", "{{.ContainerExitCode}}"]
        codes = _call(command, self.run_env).stdout.split()
        return subprocess.CompletedProcess(done.args, int(codes[-1]), done.stdout, done.stderr)


@contextlib.contextmanager
def container_engine() -> Iterator[Engine]:
    """Docker where it answers; else podman, with everything that it stores removed at the end.

    Raises
    ------
    EngineUnavailableError
        Neither can be had here.
    """
    if shutil.which("docker") and _call(["docker", "info"], os.environ).returncode == 0:
        yield Engine("docker", os.environ, os.environ, genuine=True)
        return
    _require_tools()
    with tempfile.TemporaryDirectory(prefix="container-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with contextlib.ExitStack() as stack:
            stack.enter_context(_memory_on(folder))
            if shutil.disk_usage(folder).free < NEEDED_SPACE:
                raise EngineUnavailableError(f"less than {NEEDED_SPACE / 1e9:.0f} GB free in {folder.parent}")
            environments = [_environment(folder, "run", {}), _environment(folder, "build", pip_mounts(folder))]
            run_env, build_env = environments
            stack.callback(_end_containers, folder, run_env)
            _make_base_image(folder, run_env)
            client = "docker" if shutil.which("docker") else "podman"
            if client == "docker":
                for environment in environments:
                    stack.enter_context(_service(environment))
            yield Engine(client, build_env, run_env, genuine=False)


def pip_mounts(folder: Path) -> dict[Path, Path]:
    """Files and folders that pip needs in a build to install what it installs here: by place here, place there.

    They are pip's settings, joined into one file, and the certificates, indices and wheels on the disk that they name.
    """
    settings = pip_settings()
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        if os.environ.get(name):
            settings.setdefault("cert", os.environ[name])
    path = folder / "pip.conf"
    path.write_text("[global]\n" + "".join(f"{key} = {value}\n" for key, value in settings.items()))
    mounts = {path: Path("/etc/pip.conf")}
    for word in " ".join(settings.values()).split():
        place = Path(word.removeprefix("file://"))
        # The pages of an index link to files that lie beside it.
        place = place.parent if place.name == "simple" else place
        if place.is_absolute() and place.exists():
            mounts[place] = place
    return mounts


def pip_settings() -> dict[str, str]:
    """Settings of pip on this machine, from its environment variables and its files, by option."""
    done = _call([sys.executable, "-m", "pip", "config", "list"], os.environ)
    settings: dict[str, str] = {}
    for line in done.stdout.splitlines():
        key, _, value = line.partition("=")
        section, _, option = key.rpartition(".")
        # The environment comes first, and it wins.
        if section in (":env:", "global", "install"):
            settings.setdefault(option, " ".join(str(ast.literal_eval(value)).split()))
    return settings


def _require_tools() -> None:
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if os.geteuid() != 0:
        raise EngineUnavailableError("no Docker engine, and podman is set up for root only")
    if missing and shutil.which("apt-get") is None:
        raise EngineUnavailableError(f"no Docker engine, no {', '.join(missing)}, and no apt-get to install them")
    if missing:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update"], ["install", "--yes", "--no-install-recommends", *missing]):
            _require(_call(["apt-get", *command], environment), f"{', '.join(missing)} cannot be installed")


def _environment(folder: Path, name: str, mounts: Mapping[Path, Path]) -> dict[str, str]:
    """Environment of podman: storage, settings and temporary files in ``folder``, nothing of the machine's own."""
    (folder / "tmp").mkdir(exist_ok=True)
    storage, settings = folder / "storage.conf", folder / f"{name}.conf"
    storage.write_text(f'[storage]\ndriver = "overlay"\nrunroot = "{folder}/run"\ngraphroot = "{folder}/graph"\n')
    limits = [f"{limit}={_limit(number)}" for limit, number in _LIMITS.items()]
    # The file of events is what tells a waiting client that a container has ended.
    settings.write_text(
        f"[containers]\ndefault_ulimits = {json.dumps(limits)}\n"
        f"volumes = {json.dumps([f'{here}:{there}:ro' for here, there in mounts.items()])}\n"
        '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\nlock_type = "file"\n'
        f'tmp_dir = "{folder}/libpod"\n'
    )
    return {
        **os.environ,
        "CONTAINERS_STORAGE_CONF": str(storage),
        "CONTAINERS_CONF": str(settings),
        "BUILDAH_ISOLATION": "chroot",
        "TMPDIR": str(folder / "tmp"),
        "DOCKER_HOST": f"unix://{folder}/{name}.sock",
    }


_LIMITS = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}


def _limit(number: int) -> str:
    # The engine's own limits are higher than what a machine may allow to be set.
    hard = resource.getrlimit(number)[1]
    enough = 4096 if hard == resource.RLIM_INFINITY else min(hard, 4096)
    return f"{enough}:{enough}"


def _make_base_image(folder: Path, environment: Mapping[str, str]) -> None:
    """A minimal Debian under the name of the official image."""
    archive = folder / "base.tar"
    # With the certificates: installing them later would replace the file that is mounted in their place.
    command = ["mmdebstrap", "--variant=minbase", "--include=ca-certificates", "bookworm", archive]
    options = [f"--dpkgopt=path-exclude={pattern}" for pattern in UNUSED]
    _require(_call([*command, *options], environment), "mmdebstrap cannot make a Debian")
    _require(_call(["podman", "import", archive, BASE_IMAGE], environment), "podman cannot import it")
    archive.unlink()


@contextlib.contextmanager
def _service(environment: Mapping[str, str]) -> Iterator[None]:
    """podman's side of Docker's interface."""
    socket = environment["DOCKER_HOST"]
    with subprocess.Popen(
        ["podman", "system", "service", "--time", "0", socket],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            for _ in range(100):
                if _call(["docker", "version"], environment).returncode == 0:
                    break
                time.sleep(0.1)
            else:
                raise EngineUnavailableError("podman's service does not answer")
            yield
        finally:
            process.terminate()


@contextlib.contextmanager
def _memory_on(folder: Path) -> Iterator[None]:
    """A file system in memory at ``folder``, where there is enough; else nothing."""
    enough = psutil.virtual_memory().available > ENOUGH_MEMORY
    command = ["mount", "-t", "tmpfs", "-o", f"size={NEEDED_SPACE + 1_000_000_000}", "tmpfs", folder]
    if not enough or _call(command, os.environ).returncode != 0:
        yield
        return
    try:
        yield
    finally:
        _call(["umount", "--lazy", folder], os.environ)


def _end_containers(folder: Path, environment: Mapping[str, str]) -> None:
    """End what runs and unmount the layers, so that the folder can be removed."""
    _call(["podman", "rm", "--all", "--force"], environment)
    _call(["umount", "--recursive", folder / "graph" / "overlay"], environment)


def _call(command: Sequence[str | Path], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False)


def _require(done: subprocess.CompletedProcess[str], failed: str) -> None:
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise EngineUnavailableError(f"{failed}: {lines[-1]}")


if __name__ == "__main__":
    with container_engine() as chosen:
        sys.exit(subprocess.run(sys.argv[1:], env=dict(chosen.build_env), check=False).returncode)
