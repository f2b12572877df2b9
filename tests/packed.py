"""Content of files that may be packed."""

import gzip
from pathlib import Path


def unpacked(path: Path) -> bytes:
    """Bytes of a file; of one that gzip has packed, those within.

    In some thousand images one byte of the packed stream was seen to be another one than before, with the same content;
    why is not known.
    """
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data
