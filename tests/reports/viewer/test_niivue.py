"""niivue as it is stored, and as a page holds it."""

import base64
import gzip
import hashlib
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import bids_spectsynth.reports.viewer
from bids_spectsynth.reports.html import Page, Section, Text
from bids_spectsynth.reports.rendering import render
from bids_spectsynth.reports.viewer.niivue import SHA256, VERSION, niivue_licence, niivue_script

FOLDER = Path(bids_spectsynth.reports.viewer.__file__).parent / "niivue"
NAMES = (
    "Copyright (c) 2021, Niivue", "Redistributions in binary form", "gl-matrix", "fflate", "nifti-reader-js", "zarrita",
    "numcodecs", "array-equal", "@lukeed/uuid", "@ungap/structured-clone",
)  # fmt: skip
VENDOR = Path(__file__).parents[3] / ".ci" / "vendor_niivue.py"


def vendor() -> ModuleType:
    spec = importlib.util.spec_from_file_location("vendor_niivue", VENDOR)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_niivue__is_what_was_recorded_when_it_was_made():
    text = gzip.decompress((FOLDER / "niivue.js.gz").read_bytes())
    assert hashlib.sha256(text).hexdigest() == SHA256
    assert vendor().VERSION == VERSION
    assert re.search(rb'"%s"' % re.escape(VERSION).encode(), text), "it says its version"


def test_niivue__runs_no_text_and_has_no_webassembly_and_no_font():
    text = gzip.decompress((FOLDER / "niivue.js.gz").read_bytes()).decode("utf-8")
    for word in ("eval(", "new Function", "new Worker", "importScripts", "FontFace", "XMLHttpRequest", "AGFzbQ"):
        assert word not in text, word
    assert len(re.findall(r"data:image/png;base64,[A-Za-z0-9+/=]{200,}", text)) == 0


def test_niivue__a_page_with_a_viewer_holds_it_and_its_licence_once(small):
    html = small.page()
    held = re.findall(r'<script type="application/gzip" id="niivue-packed">([^<]*)</script>', html)
    assert len(held) == 1
    text = gzip.decompress(base64.b64decode(held[0]))
    digest = base64.b64encode(hashlib.sha256(text).digest()).decode()
    assert f"'sha256-{digest}'" in re.findall(r'Content-Security-Policy" content="([^"]*)"', html)[0].split()
    assert niivue_script().source == f"'sha256-{digest}'"
    assert html.count("BSD 2-Clause License, and the packages") == 1
    assert len(held[0]) < 400_000


def test_niivue__a_page_without_a_viewer_has_none():
    html = render(Page("t", "s", [Section("a", "A", [Text("b")])]))
    assert "niivue" not in html


def test_niivue_licence__names_all_that_is_in_the_build():
    text = niivue_licence()
    assert VERSION in text
    for name in NAMES:
        assert name in text, name


def test_vendor_niivue__cuts_what_is_known_and_refuses_another_build():
    decoder, font = f'"AGFzbQ{"A" * 3000}"', f'"data:image/png;base64,{"B" * 60000}"'
    made = vendor().cut(f"a({decoder});b({decoder});c({decoder.replace(chr(34), chr(39))});d({font})")
    assert made.startswith('a("");b("");c(\'\');d("data:image/png;base64,iVBOR')
    assert len(made) < 200
    with pytest.raises(ValueError, match="2 decoders and 1 fonts"):
        vendor().cut(f"a({decoder});b({decoder});d({font})")


def test_vendor_niivue__another_tarball_is_refused(tmp_path):
    (tmp_path / "x.tgz").write_bytes(b"no tarball")
    command = [sys.executable, VENDOR, tmp_path / "x.tgz", tmp_path / "made.gz"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"is not niivue {VERSION} as npm has it" in done.stderr
    assert not (tmp_path / "made.gz").exists()


@pytest.mark.skipif("NIIVUE_TARBALL" not in os.environ, reason="needs npm's tarball, named by NIIVUE_TARBALL")
def test_vendor_niivue__makes_the_stored_file_of_the_tarball(tmp_path):
    made = tmp_path / "made.gz"
    subprocess.run([sys.executable, VENDOR, os.environ["NIIVUE_TARBALL"], made], check=True)
    assert gzip.decompress(made.read_bytes()) == gzip.decompress((FOLDER / "niivue.js.gz").read_bytes())
