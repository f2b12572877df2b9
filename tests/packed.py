"""Content of files that may be packed."""

import gzip
from pathlib import Path


def unpacked(path: Path) -> bytes:
    """Bytes of a file; of one that gzip has packed, those within.

    ISA-L was seen to pack one content in two ways, once in some thousand images on a busy machine; 116,000 packings of
    120 images by themselves, eight at a time, were all alike.
    """
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data
