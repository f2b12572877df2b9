"""How much memory there is, and whether it holds what the program loads."""

import mmap
import resource
import sys
from importlib.util import find_spec
from pathlib import Path

import psutil

_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
#: All that is loaded beside torch's libraries takes 330 MB of addresses with one thread, 410 with two. A run that finds
#: 930 MB in all is begun; of the limits that were tried, 1100 MB was the lowest with which one came to the images.
_BESIDE_TORCH = 300 * 2**20
_MEGABYTE = 2**20


def total_memory() -> int:
    """Bytes of memory of this machine or, where it is less, that a container or a scheduler grants."""
    total = int(psutil.virtual_memory().total)
    for limit in _LIMITS:
        if limit.is_file() and (text := limit.read_text().strip()).isdigit():
            total = min(total, int(text))
    return total


def check_room() -> None:
    """Make sure that torch can be loaded, before it is.

    A library for which too little address space is left may end the process while it is loaded, by a segmentation
    fault or with words of its own, before anybody can say why. What is asked for is the size of torch's own libraries
    and a little more; a build for a GPU, which loads further ones, takes more.

    Raises
    ------
    MemoryError
        The limit on address space (``ulimit -v``, which some schedulers set) is too low.
    """
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if "torch" in sys.modules or limit == resource.RLIM_INFINITY:
        return
    found = find_spec("torch")
    if found is None or found.origin is None:
        return
    libraries = {path.resolve() for path in (Path(found.origin).parent / "lib").glob("*.so*")}
    needed = sum(path.stat().st_size for path in libraries if path.is_file()) + _BESIDE_TORCH
    try:
        # Nothing is read or written: it takes up addresses alone.
        mmap.mmap(-1, needed, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ).close()
    except OSError as error:
        used = psutil.Process().memory_info().vms
        raise MemoryError(
            f"PyTorch needs {needed // _MEGABYTE} MB of address space beside the {used // _MEGABYTE} MB in use, of a "
            f"limit of {limit // _MEGABYTE} MB"
        ) from error
