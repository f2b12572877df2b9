"""The tables of options on the usage page, generated from the parser and the options' declarations.

``python -m bids_spectsynth.app.usage docs/usage.md`` writes them anew, each between its two marks.
"""

import argparse
import re
import sys
from pathlib import Path

from bids_spectsynth.app.registries import registered_losses, registered_margins
from bids_spectsynth.options.declarations.groups import GROUPS
from bids_spectsynth.options.declare import Declared, declared
from bids_spectsynth.options.parser import build_parser, parsed_options
from bids_spectsynth.options.settings import Settings

_MARKED = re.compile(r"(<!-- options: (.+?) -->\n).*?(<!-- end of options -->)", re.DOTALL)


def option_tables(options: type = Settings) -> dict[str, str]:
    """Markdown tables of the options.

    Parameters
    ----------
    options : type
        The dataclass that declares the options.

    Returns
    -------
    dict of str to str
        By the title of the options' group.
    """
    losses = registered_losses()
    actions = {action.dest: action for action in parsed_options(build_parser(losses, options))}
    words = {
        "losses": ", ".join(f"`{name}` ({title})" for name, title in losses.items()),
        "margins": ", ".join(f"`{name}` {margin}" for name, margin in registered_margins().items()),
    }
    tables = {}
    for group in GROUPS:
        rows = ["| option | meaning |", "|---|---|"]
        for name, one in declared(options).items():
            if one.option.group == group:
                text = one.text(one.option.page, **words) if one.option.page else _in_brackets(one)
                rows.append(f"| {_spellings(actions[name])} | {text} |")
        tables[group.title] = "\n".join(rows) + "\n"
    return tables


def _in_brackets(one: Declared) -> str:
    """The text of the help with the default, which stands in parentheses at its end, as the page has it."""
    mark = "`" if one.choices else ""
    return re.sub(r"\(([^()]*)\)$", rf"[{mark}\1{mark}]", one.text(one.option.help))


def _spellings(action: argparse.Action) -> str:
    """All spellings of an option; the first long one with its value."""
    first = next(word for word in action.option_strings if word.startswith("--"))
    metavar = action.metavar if action.metavar is not None else action.dest.upper()
    if action.choices is not None:
        value = "{" + ",".join(action.choices) + "}"
    elif action.nargs == 0:
        value = ""
    else:
        value = " ".join([metavar] if isinstance(metavar, str) else metavar)
        value += " ..." if action.nargs == "+" else ""
    words = [f"{word} {value}".strip() if word == first else word for word in action.option_strings]
    return ", ".join(f"`{word}`" for word in words).replace("|", "\\|")


def with_tables(page: str, options: type = Settings) -> str:
    """A page with its tables of options as they are now.

    Parameters
    ----------
    page : str
        Markdown; a table stands between ``<!-- options: TITLE -->`` and ``<!-- end of options -->``.
    options : type
        The dataclass that declares the options.
    """
    tables = option_tables(options)
    return _MARKED.sub(lambda match: f"{match[1]}\n{tables[match[2]]}\n{match[3]}", page)


def main(path: Path) -> int:
    """Write the tables of a page anew."""
    path.write_text(with_tables(path.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
