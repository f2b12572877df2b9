"""Makes the file of niivue that the reports hold from npm's tarball, and says what it is made of.

    npm pack @niivue/niivue@0.69.0
    python .ci/vendor_niivue.py niivue-niivue-0.69.0.tgz [FILE]

The tarball must have the checksum that npm's registry has for it. Of its build for browsers (``dist/niivue.umd.js``)
is taken out what the viewer never uses and what would make each report 0.7 MB larger: the decoders of Zarr
(WebAssembly, which the page's policy forbids anyway) and the font (the viewer writes its labels itself).
"""

import argparse
import gzip
import hashlib
import re
import tarfile
from pathlib import Path

VERSION = "0.69.0"
#: SHA-512 of the tarball, as in npm's registry (``dist.integrity`` in hexadecimal digits).
TARBALL_SHA512 = (
    "60c8d0bc9803d56d9bec3ba8c64c250b85716eb80878f449e6ac90cd72b18b6b"
    "f6301560dbce4ffc2210ca0e3aa030c60c871a3656ddf8c86d3bf79d31b5c990"
)
MEMBER = "package/dist/niivue.umd.js"
OUTPUT = Path(__file__).parents[1] / "bids_spectsynth/reports/viewer/niivue/niivue.js.gz"
#: WebAssembly in base64 begins so.
_DECODER = re.compile(r'(?<=")AGFzbQ[A-Za-z0-9+/=]{2000,}(?=")|(?<=\')AGFzbQ[A-Za-z0-9+/=]{2000,}(?=\')')
_FONT = re.compile(r"data:image/png;base64,[A-Za-z0-9+/=]{50000,}")
#: One transparent picture element.
_NOTHING = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


def cut(text: str) -> str:
    """The build without its decoders of Zarr and without its font.

    Raises
    ------
    ValueError
        There are not three decoders and one font: it is another build.
    """
    text, decoders = _DECODER.subn("", text)
    text, fonts = _FONT.subn(_NOTHING, text)
    if (decoders, fonts) != (3, 1):
        raise ValueError(f"{decoders} decoders and {fonts} fonts, not 3 and 1")
    return text


def main() -> None:
    """Check the tarball, write the file, print its size and SHA-256."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tarball", type=Path)
    parser.add_argument("output", type=Path, nargs="?", default=OUTPUT)
    arguments = parser.parse_args()
    found = hashlib.sha512(arguments.tarball.read_bytes()).hexdigest()
    if found != TARBALL_SHA512:
        raise SystemExit(f"{arguments.tarball} is not niivue {VERSION} as npm has it: its SHA-512 is {found}")
    with tarfile.open(arguments.tarball) as archive:
        member = archive.extractfile(MEMBER)
        assert member is not None
        text = cut(member.read().decode("utf-8"))
    content = text.encode("utf-8")
    arguments.output.write_bytes(gzip.compress(content, 9, mtime=0))
    print(f"{len(content)} bytes, {arguments.output.stat().st_size} compressed")
    print(f"SHA-256 of the script: {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    main()
