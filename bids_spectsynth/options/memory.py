"""How much memory there is, and whether it holds what the program loads."""

import mmap
from importlib.util import find_spec
from pathlib import Path

import psutil

_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
#: Address space of all that is loaded beside torch's libraries: some 330 MB were seen with one thread, 410 with two.
_BESIDE_TORCH = 300 * 2**20


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
    fault or with words of its own, before anybody can say why.

    Raises
    ------
    MemoryError
        The limit on address space (``ulimit -v``, which some schedulers set) is too low.
    """
    found = find_spec("torch")
    if found is None or found.origin is None:
        return
    libraries = (Path(found.origin).parent / "lib").glob("*.so*")
    needed = sum(library.stat().st_size for library in libraries) + _BESIDE_TORCH
    try:
        # Nothing is read or written: it takes up addresses alone.
        mmap.mmap(-1, needed, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ).close()
    except OSError as error:
        raise MemoryError(f"{needed / 2**20:.0f} MB of address space are needed to load PyTorch") from error
