"""Where the atlas is, how it is downloaded, and what is said where it cannot be."""

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bids_spectsynth.errors import UsageError
from bids_spectsynth.preprocess.templates.atlas import CEREBRA_TEMPLATE, fetch_cerebra

IMAGE = f"tpl-{CEREBRA_TEMPLATE}_res-1_atlas-CerebrA_dseg.nii.gz"
TABLE = f"tpl-{CEREBRA_TEMPLATE}_atlas-CerebA_dseg.tsv"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path))
    return tmp_path / f"tpl-{CEREBRA_TEMPLATE}"


def store(folder: Path, content: bytes = b"x") -> None:
    folder.mkdir(exist_ok=True)
    for name in (IMAGE, TABLE):
        (folder / name).write_bytes(content)


class Client:
    """Stands for TemplateFlow's client: an update lists placeholders, asking fills them or fails."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path, error: Exception | None = None) -> None:
        self.folder, self.error = folder, error
        self.updates = 0
        self.asked: list[tuple[str, dict[str, Any]]] = []
        package, api, conf = (ModuleType(name) for name in ("templateflow", "templateflow.api", "templateflow.conf"))
        api.get, conf.update = self.get, self.update  # type: ignore[attr-defined]
        package.api, package.conf = api, conf  # type: ignore[attr-defined]
        for module in (package, api, conf):
            monkeypatch.setitem(sys.modules, module.__name__, module)

    def update(self, **options: Any) -> None:
        self.updates += 1
        store(self.folder, b"")

    def get(self, name: str, **query: Any) -> None:
        self.asked.append((name, query))
        if self.error is not None:
            raise self.error
        (self.folder / (TABLE if query["extension"] == ".tsv" else IMAGE)).write_bytes(b"x")


@pytest.mark.parametrize("table", [TABLE, TABLE.replace("CerebA", "CerebrA")])
def test_fetch_cerebra__what_is_stored_is_not_asked_for(folder: Path, table: str) -> None:
    store(folder)
    (folder / TABLE).rename(folder / table)
    found = fetch_cerebra()
    assert (found.image.name, found.table.name) == (IMAGE, table)


@pytest.mark.parametrize("placeholders", [False, True])
def test_fetch_cerebra__what_is_missing_is_downloaded(
    folder: Path, monkeypatch: pytest.MonkeyPatch, placeholders: bool
) -> None:
    if placeholders:
        store(folder, b"")
    client = Client(monkeypatch, folder)
    assert fetch_cerebra().image.name == IMAGE
    assert client.updates == (not placeholders)
    assert [name for name, _ in client.asked] == [CEREBRA_TEMPLATE] * 2


def test_fetch_cerebra__no_network_says_how_to_prefetch(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Client(monkeypatch, folder, ConnectionError("no route\nto host"))
    with pytest.raises(UsageError, match=r"\(no route to host\); run once where there is network") as caught:
        fetch_cerebra()
    assert "\n" not in str(caught.value)
    # The command that the message names does what it says.
    command = re.search(r'python -c "([^"]*)"; then', str(caught.value))
    assert command is not None
    client = Client(monkeypatch, folder)
    exec(command[1], {})
    assert fetch_cerebra().table.name == TABLE
    assert len(client.asked) == 2


def test_fetch_cerebra__without_the_client_it_is_said(folder: Path) -> None:
    with pytest.raises(UsageError, match="CerebrA is not stored and cannot be downloaded"):
        fetch_cerebra()
