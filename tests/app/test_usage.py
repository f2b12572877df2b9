from pathlib import Path

from bids_spectsynth.app.usage import main, option_tables, with_tables
from bids_spectsynth.options.parser import build_parser, parsed_options

PAGE = Path(__file__).parents[2] / "docs" / "usage.md"


def test_with_tables__the_page_has_the_tables_of_the_options_as_they_are() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert with_tables(text) == text, "run: make usage"
    assert all(f"<!-- options: {title} -->\n\n{table}\n<!-- end" in text for title, table in option_tables().items())


def test_with_tables__replaces_what_is_between_the_marks_and_nothing_else() -> None:
    page = "before\n<!-- options: evaluation -->\nold\n<!-- end of options -->\nafter\n"
    text = with_tables(page)
    assert text == page.replace("old", "\n" + option_tables()["evaluation"])
    assert with_tables(text) == text


def test_option_tables__hold_every_spelling_of_every_option() -> None:
    tables = "".join(option_tables().values())
    words = [word for action in parsed_options(build_parser()) for word in action.option_strings]
    assert [word for word in words if f"`{word}" not in tables] == ["--config-file"]
    assert "`--study NAME\\|TOML`" in tables
    assert "{default}" not in tables


def test_main__writes_the_page_anew(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("<!-- options: evaluation -->\n<!-- end of options -->\n")
    assert main(path) == 0
    assert option_tables()["evaluation"] in path.read_text()
