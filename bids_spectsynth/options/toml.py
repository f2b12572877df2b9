"""Settings as TOML: the configuration file of a user, and what every run leaves in its log folder."""

import os
import tomllib
from pathlib import Path
from typing import Any

from bids_spectsynth.errors import UsageError
from bids_spectsynth.options.declare import declared, option_names
from bids_spectsynth.options.names import did_you_mean


def read_toml(path: Path, options: type) -> dict[str, Any]:
    """Read option values from a TOML file.

    Parameters
    ----------
    path : Path
        A TOML file whose keys are long options, with hyphens or underscores; also the ``settings.toml`` that
        every run leaves in its log folder.
    options : type
        The dataclass that declares the options.

    Returns
    -------
    dict of str to object
        Values by name, of the types that TOML has.

    Raises
    ------
    UsageError
        The file cannot be read or parsed, or holds a key that is no option.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot read the configuration file ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not valid TOML ({error})") from error
    known = option_names(options)
    # Positional arguments stand in the settings that a run records; the command line always gives them.
    positional = set(declared(options)) - set(known)
    spellings = _spellings(options)
    values: dict[str, Any] = {}
    for key, value in content.items():
        name = spellings.get(key.replace("-", "_"), key.replace("-", "_"))
        if name in values:
            raise UsageError(f"{path}: {key}: given twice, by two spellings of one option; leave one of them out")
        values[name] = value
    values = {name: value for name, value in values.items() if name not in positional}
    unknown = sorted(set(values) - set(known))
    if unknown:
        near = did_you_mean(unknown[0], known) or f"; known: {', '.join(known)}"
        raise UsageError(f"{path}: unknown option {', '.join(unknown)}{near}")
    return values


def _spellings(options: type) -> dict[str, str]:
    """Names of the options by all spellings that the command line has of them, with underscores."""
    return {
        spelling.removeprefix("--").replace("-", "_"): name
        for name, one in declared(options).items()
        for spelling in one.flags
    }


def to_toml(settings: object) -> str:
    """TOML text of the settings; reading it back with the positional values gives equal settings.

    Parameters
    ----------
    settings : Settings
        Or another record that declares options; those that are None are left out.
    """
    # Not needed for the help, which is to answer at once.
    import tomli_w

    values = {}
    for name, one in declared(type(settings)).items():
        value = getattr(settings, name)
        if value is not None:
            values[name] = _plain(value if one.option.write is None else one.option.write(value))
    return tomli_w.dumps(values)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    return short_path(value) if isinstance(value, Path) else value


def short_path(path: Path) -> str:
    """A path as it can be read back; in the home folder without the user's name."""
    home = Path(os.path.expanduser("~"))  # noqa: PTH111  (Path.home raises where there is none)
    inside = home.is_absolute() and home != Path(home.anchor) and path.is_relative_to(home)
    return f"~/{path.relative_to(home).as_posix()}" if inside else str(path)


def plain_path(value: str | Path) -> Path:
    """An absolute path without ``.`` and ``..``, so that one folder has one name wherever a run is started."""
    return Path(os.path.abspath(Path(value).expanduser()))  # noqa: PTH100  (Path.resolve follows links)
