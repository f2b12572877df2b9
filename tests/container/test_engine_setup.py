from pathlib import Path

import pytest
from container_engine import EngineUnavailableError, container_engine, pip_mounts


def test_builds_get_the_settings_of_pip_and_what_they_name_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels, index, certificates = tmp_path / "wheels", tmp_path / "index" / "simple", tmp_path / "bundle.crt"
    wheels.mkdir()
    index.mkdir(parents=True)
    certificates.touch()
    for name in ("PIP_CERT", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    settings = ["[global]", "find-links = /not/there", f"cert = {certificates}", "[list]", "format = json"]
    (tmp_path / "pip.conf").write_text("\n".join(settings))
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", f"file://{index} https://example.org/simple")
    folder = tmp_path / "engine"
    folder.mkdir()
    mounts = pip_mounts(folder)
    written = (folder / "pip.conf").read_text().splitlines()
    assert mounts[folder / "pip.conf"] == Path("/etc/pip.conf")
    assert {wheels, index.parent, certificates} <= set(mounts)
    assert f"find-links = {wheels}" in written, "the environment wins over the file"
    assert f"extra-index-url = file://{index} https://example.org/simple" in written
    assert not any(line.startswith("format") for line in written)


def test_a_machine_without_engine_and_packages_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(EngineUnavailableError, match="no Docker engine") as caught, container_engine():
        pass
    assert "\n" not in str(caught.value)
