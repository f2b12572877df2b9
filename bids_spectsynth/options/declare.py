"""What an option is: a field of a frozen dataclass whose metadata hold all that is known of it.

The parser, the checks of values, the presets, the training configuration, the Boutiques descriptor and the tables of
the usage page are made from these declarations, so that a new option is one new field.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import NoneType, UnionType
from typing import Any, Literal, ParamSpec, get_args, get_origin, get_type_hints

P = ParamSpec("P")
#: Says what is wrong with a value, without the option's name; None if it is usable.
Check = Callable[[Any], str | None]
_KEY = "option"


@dataclass(frozen=True)
class Group:
    """Options that stand together in the help and on the usage page.

    Parameters
    ----------
    title : str
    description : str, optional
    of_training : bool
        What its options are that do not say it themselves; see :class:`Option`.
    """

    title: str
    description: str | None = None
    of_training: bool = False


@dataclass(frozen=True)
class Option:
    """What the field's name, type and default do not say of an option.

    Parameters
    ----------
    group : Group or None
        None for a positional argument, which no configuration file sets.
    help : str
        Text of ``--help``. ``{default}`` stands for the default.
    page : str
        Text of the usage page, where it is more than ``help``.
    flags : tuple of str
        All spellings, if there are others than ``--`` and the name with hyphens.
    metavar : str or tuple of str
        What the help calls the value.
    action : str
        Of argparse, where the type does not say it: ``append``, ``extend`` or ``count``.
    read : callable
        From a plain value (string, number, list) to the field's value, where the type does not say it; raises
        ValueError or TypeError.
    write : callable
        From the field's value to one that TOML has and that ``read`` takes.
    check : callable
        Which of the type's values are usable.
    presets : mapping of str to object
        Values of the presets; of those that are not named it is the default. None if presets do not decide on it.
    suggest : callable
        From the preset and the values of the options before this one to the value where none is given.
    config_name : str
        Name in the training configuration, where it is another.
    of_loss : bool
        Whether it says what the loss is.
    of_training : bool, optional
        Whether it says which models are trained, or how; such options are refused beside a model that is given. As its
        group where it is None.
    units : mapping of str to str
        Further spellings to what is put behind a value that is given by them: ``{"--mem-gb": "G"}``.
    shorthands : mapping of str to mapping
        Further values, each of which stands for values of several options, where these are not given.
    """

    group: Group | None
    help: str
    page: str = ""
    _: dataclasses.KW_ONLY
    flags: tuple[str, ...] = ()
    metavar: str | tuple[str, ...] | None = None
    action: Literal["", "append", "extend", "count"] = ""
    read: Callable[[Any], Any] | None = None
    write: Callable[[Any], Any] | None = None
    check: Check | None = None
    presets: Mapping[str, Any] | None = None
    suggest: Callable[[str, Mapping[str, Any]], Any] | None = None
    config_name: str = ""
    of_loss: bool = False
    of_training: bool | None = None
    units: Mapping[str, str] = field(default_factory=dict)
    shorthands: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def _as_metadata(make: Callable[P, Option]) -> Callable[P, Mapping[str, Any]]:
    def metadata(*args: P.args, **kwargs: P.kwargs) -> Mapping[str, Any]:
        return {_KEY: make(*args, **kwargs)}

    return metadata


#: Metadata of a dataclass field that declare an option; takes what :class:`Option` takes.
option = _as_metadata(Option)


@dataclass(frozen=True)
class Declared:
    """An option with the field that declares it.

    Parameters
    ----------
    name : str
    hint : object
        The field's type without None.
    default : object
        ``dataclasses.MISSING`` for a positional argument.
    option : Option
    """

    name: str
    hint: Any
    default: Any
    option: Option

    @property
    def flags(self) -> tuple[str, ...]:
        """Spellings on the command line; none for a positional argument."""
        if self.option.group is None:
            return ()
        return self.option.flags or (flag(self.name),)

    @property
    def of_training(self) -> bool:
        """Whether it says which models are trained, or how."""
        group = self.option.group
        return self.option.of_training if self.option.of_training is not None else bool(group and group.of_training)

    @property
    def choices(self) -> tuple[str, ...]:
        """The values of an option that has a fixed set of them."""
        return (*get_args(self.hint), *self.option.shorthands) if get_origin(self.hint) is Literal else ()

    def text(self, text: str, **words: str) -> str:
        """A text of the option with its default and other words filled in."""
        for word, value in {"default": _shown(self.default), **words}.items():
            text = text.replace("{" + word + "}", value)
        return text


def flag(name: str) -> str:
    """The long option of a field, as messages spell it."""
    return "--" + name.replace("_", "-")


def _shown(default: Any) -> str:
    if isinstance(default, tuple):
        return " ".join(map(_shown, default))
    return f"{default:g}" if isinstance(default, float) else str(default)


def declared(options: type) -> Mapping[str, Declared]:
    """The options of a dataclass by name, in the order of its fields.

    Parameters
    ----------
    options : type
        A dataclass; fields without an option's metadata are left out.

    Returns
    -------
    mapping of str to Declared
    """
    hints = get_type_hints(options)
    return {
        f.name: Declared(f.name, _without_none(hints[f.name]), f.default, f.metadata[_KEY])
        for f in dataclasses.fields(options)
        if _KEY in f.metadata
    }


def _without_none(hint: Any) -> Any:
    if get_origin(hint) is UnionType:
        (hint,) = (one for one in get_args(hint) if one is not NoneType)
    return hint


def option_names(options: type) -> tuple[str, ...]:
    """Names of the options that a configuration file may set."""
    return tuple(name for name, one in declared(options).items() if one.option.group is not None)


def preset_values(options: type, preset: str) -> dict[str, Any]:
    """What a preset decides on, unless it is given one by one.

    Parameters
    ----------
    options : type
        The dataclass that declares the options.
    preset : str

    Returns
    -------
    dict of str to object
        Values by name.
    """
    return {
        name: one.option.presets.get(preset, one.default)
        for name, one in declared(options).items()
        if one.option.presets is not None
    }


def suggested_value(one: Declared, preset: str, values: Mapping[str, Any]) -> Any:
    """Value of an option that is not given: that of the preset, what it suggests, or the default.

    Parameters
    ----------
    one : Declared
    preset : str
    values : mapping of str to object
        Of the other options.
    """
    if one.option.presets is not None:
        return one.option.presets.get(preset, one.default)
    return one.default if one.option.suggest is None else one.option.suggest(preset, values)
