"""Templates that are not stored: what the client is asked for, and what users read where it cannot help."""

import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bids_spectsynth.errors import UsageError
from bids_spectsynth.options.spaces import parse_space
from bids_spectsynth.preprocess.templates import download
from bids_spectsynth.preprocess.templates.download import advice
from bids_spectsynth.preprocess.templates.store import find_files, templateflow_home
from bids_spectsynth.preprocess.templates.templates import check_template, fetch_template

ASKED = (
    "MNI152Lin",
    "MNI152Lin:res-2",
    "MNI152NLin2009cAsym",
    "MNI152NLin2009cSym",
    "MNI152NLin6Asym:res-5",
    "MNI305",
    "MNIInfant:cohort-11:res-2",
    "MNIPediatricAsym:cohort-3",
    "PNC",
    "UNCInfant:cohort-2",
    "dhcpVol:cohort-40",
)

#: The real one, which other tests do without.
CHECK_SERVER = download.check_server


class FakeClient:
    """Stands for TemplateFlow's client: it lists files as placeholders, and fills them or fails."""

    def __init__(self, stored: Callable[[], Path | None], error: Exception | None = None) -> None:
        self.stored, self.error = stored, error
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.updates: list[dict[str, Any]] = []

    def update(self, **options: Any) -> None:
        self.updates.append(options)
        head = self.stored()
        for path in head.parent.iterdir() if head else ():
            path.write_bytes(b"")

    def get(self, name: str, **query: Any) -> None:
        self.asked.append((name, query))
        if self.error is not None:
            raise self.error
        self.stored()

    def install(self, monkeypatch: pytest.MonkeyPatch) -> "FakeClient":
        package, api, conf = (ModuleType(name) for name in ("templateflow", "templateflow.api", "templateflow.conf"))
        api.get, conf.update = self.get, self.update  # type: ignore[attr-defined]
        package.api, package.conf = api, conf  # type: ignore[attr-defined]
        for module in (package, api, conf):
            monkeypatch.setitem(sys.modules, module.__name__, module)
        return self


def test_an_empty_folder_is_listed_and_the_two_files_are_downloaded(
    store: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = FakeClient(lambda: store("Mine", cohort="3", res="1", mask="label-brain")).install(monkeypatch)
    assert check_template("Mine:cohort-3") == "Mine:cohort-3:res-1"
    assert client.updates == [{"local": True, "overwrite": False, "silent": True}]
    shared = {"cohort": 3, "resolution": 1, "extension": ".nii.gz", "raise_empty": True}
    assert client.asked == [
        ("Mine", {"suffix": "T1w", "desc": None, **shared}),
        ("Mine", {"suffix": "mask", "desc": None, "label": "brain", **shared}),
    ]
    fetch_template("Mine:cohort-3:res-1")
    assert len(client.asked) == 2


def test_placeholders_are_not_taken_for_a_template(store: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    head = store("Mine")
    (head.parent / "tpl-Mine_res-01_desc-brain_mask.nii.gz").write_bytes(b"")
    client = FakeClient(lambda: None).install(monkeypatch)
    with pytest.raises(UsageError, match=r"template Mine: the files in .* are empty placeholders.*run once") as caught:
        check_template("Mine")
    assert "\n" not in str(caught.value)
    assert client.updates == []


def test_placeholders_are_filled_where_there_is_network(
    store: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    store("Mine").write_bytes(b"")
    FakeClient(lambda: store("Mine")).install(monkeypatch)
    assert check_template("Mine") == "Mine:res-1"


def test_no_network_says_how_to_prefetch(store: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    FakeClient(lambda: store("Mine"), ConnectionError("no route\nto host")).install(monkeypatch)
    templateflow_home().mkdir()
    with pytest.raises(UsageError, match=r"Mine: unknown template.*\(no route to host\).*TEMPLATEFLOW_HOME=") as caught:
        fetch_template("Mine")
    assert "\n" not in str(caught.value)
    assert str(templateflow_home()) in str(caught.value)


def test_what_the_client_does_not_have_either(store: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    store("Other")
    for path in store("Empty").parent.glob("*.nii.gz"):
        path.write_bytes(b"")
    client = FakeClient(lambda: None).install(monkeypatch)
    known = r"has Other \(and empty placeholders of Empty\); built in: MNI152NLin2009aSym$"
    with pytest.raises(UsageError, match=r"Mine: unknown template; .* " + known):
        check_template("Mine")
    assert client.asked == []


def test_links_of_datalad_are_left_alone(store: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    store("Other")
    (templateflow_home() / ".datalad").mkdir()
    client = FakeClient(lambda: store("Mine")).install(monkeypatch)
    with pytest.raises(UsageError, match="unknown template"):
        check_template("Mine")
    assert client.updates == []


def test_a_folder_that_cannot_be_read(store: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    store("Mine")

    def refuse(folder: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(UsageError, match=r"cannot read TemplateFlow's folder \(Permission denied\)"):
        check_template("Mine")


#: Runs the code of the commands with a client that lists what it would download, and prints it.
_LISTING = """
import json, sys
from templateflow import api, conf

conf.update = lambda **options: None
answers = {}
for asked, code in json.load(sys.stdin).items():
    answers[asked] = []
    api.get = lambda *name, **query: answers[asked].extend(map(str, api.ls(*name, **query)))
    exec(code)
print(json.dumps(answers))
"""


def test_the_real_client_understands_the_command(real_names: Path) -> None:
    codes = {}
    for asked in ASKED:
        command = re.search(r'TEMPLATEFLOW_HOME=(\S+) python -c "([^"]*)"; then', advice(parse_space(asked)))
        assert command is not None
        assert command[1] == str(real_names)
        codes[asked] = command[2]
    program = [sys.executable, "-c", _LISTING]
    done = subprocess.run(program, input=json.dumps(codes), check=True, capture_output=True, text=True)
    answers = json.loads(done.stdout.splitlines()[-1])
    for asked in ASKED:
        files = find_files(parse_space(asked))
        assert answers[asked] == [str(files.image), str(files.mask)]


def test_the_command_without_any_names_asks_for_what_is_known(store: Callable[..., Path]) -> None:
    assert "get('A', cohort=2, resolution=1, suffix='T1w', desc=None)" in advice(parse_space("A:cohort-2:res-1"))
    assert "get('A', suffix='mask', desc='brain')" in advice(parse_space("A"))


def test_check_server__no_network_is_found_before_the_client_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    def refuse(address: tuple[str, int], timeout: float) -> socket.socket:
        waited.append(timeout)
        raise OSError(f"no route to {address[0]}")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(download, "check_server", CHECK_SERVER)
    monkeypatch.setattr(download, "getproxies", dict)
    with pytest.raises(UsageError, match=r"no route to templateflow\.s3\.amazonaws\.com\); run once"):
        fetch_template("MNI152Lin")
    assert 0 < waited[0] <= 5
    # Behind a proxy names may not resolve, and yet a download succeed.
    monkeypatch.setattr(download, "getproxies", lambda: {"https": "http://proxy:3128"})
    download.check_server()
    assert len(waited) == 1
