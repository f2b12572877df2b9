import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bids_spectsynth.errors import DatasetError
from bids_spectsynth.evaluation.case import tables as case_tables
from bids_spectsynth.evaluation.case.tables import in_order, parse_table, read_case_tables

Source = Path | io.BytesIO


def parse(source: Source) -> pd.DataFrame:
    frame = pd.read_csv(source, sep="\t", dtype=str, keep_default_na=False)[["name", "value"]]
    return frame.assign(value=pd.to_numeric(frame["value"].mask(frame["value"] == "n/a")))


def write(folder: Path, texts: Sequence[str]) -> list[Path]:
    paths = [folder / f"sub-{number:03d}_metrics.tsv" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_bytes(text.encode())
    return paths


def numbers(n_files: int) -> list[str]:
    """Tables whose numbers need all their digits, some of them missing."""
    rng = np.random.default_rng(0)
    texts = []
    for number in range(n_files):
        values = ["n/a" if v > 0.9 else repr(float(v)) for v in rng.random(5)] + ["inf", str(number)]
        texts.append("name\tvalue\n" + "".join(f"n/a {number}\t{value}\n" for value in values))
    return texts


def together_and_apart(paths: Sequence[Path]) -> tuple[pd.DataFrame, pd.DataFrame]:
    found = read_case_tables(paths, parse, "table")
    return pd.concat(found, ignore_index=True), pd.concat([parse(path) for path in paths], ignore_index=True)


@pytest.mark.parametrize("n_files", [1, 7, 64, 130])
def test_rows_are_those_of_one_file_after_the_other(tmp_path: Path, n_files: int) -> None:
    paths = write(tmp_path, numbers(n_files))
    found, expected = together_and_apart(paths)
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


def test_alike_tables_are_parsed_once(tmp_path: Path) -> None:
    asked: list[Source] = []

    def count(source: Source) -> pd.DataFrame:
        asked.append(source)
        return parse(source)

    read_case_tables(write(tmp_path, numbers(2 * 64 + 1)), count, "table")
    assert len(asked) == 3


@pytest.mark.parametrize(
    "odd",
    [
        "name\tvalue\nb\t2",
        "name\tvalue\n",
        "name\tvalue",
        "name\tvalue\r\nb\t2\r\n",
        "value\tname\n2\tb\n",
        "name\tvalue\tmore\nb\t2\tc\n",
        "name\tvalue\n1\t2\t3\n",
        "name\tvalue\nb\t2\nb",
        'name\tvalue\n"b\tc"\t2\n',
        'name\tvalue\n"b\nc"\t2\n',
        "name\tvalue\n\nb\t2\n\n",
        "name\tvalue\n" + "b\t2\n" * 3 + "c\tn/a\n",
    ],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_table_that_is_written_otherwise_is_read_as_if_alone(tmp_path: Path, odd: str, place: int) -> None:
    texts = numbers(2)
    paths = write(tmp_path, [*texts[:place], odd, *texts[place:]])
    found, expected = together_and_apart(paths)
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


@pytest.mark.parametrize(
    "damaged",
    [
        "name\nb\n",
        "name\tvalue\nb\ttwo\n",
        'name\tvalue\n"b\t2\n',
        "name\tvalue\nb\t2\nb\t2\t3\n",
        "name\tvalue\nb\nb\t2\t3\n",
        "",
        "name\tvalue\n\xff\t2\n".encode("latin-1"),
    ],
)
@pytest.mark.parametrize("place", [0, 3])
def test_a_damaged_table_among_good_ones_is_named(tmp_path: Path, damaged: str | bytes, place: int) -> None:
    paths = write(tmp_path, numbers(5))
    paths[place].write_bytes(damaged if isinstance(damaged, bytes) else damaged.encode())
    with pytest.raises(
        DatasetError, match=rf"sub-00{place}_metrics\.tsv: not a table \(.*delete it and evaluate again"
    ):
        read_case_tables(paths, parse, "table")


def test_two_quotes_in_two_files_do_not_swallow_what_lies_between(tmp_path: Path) -> None:
    paths = write(tmp_path, ['name\tvalue\n"a\t1\n', *numbers(3), 'name\tvalue\nb"\t2\n'])
    with pytest.raises(DatasetError, match="sub-000"):
        read_case_tables(paths, parse, "table")


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    paths = write(tmp_path, numbers(3))
    paths[1].unlink()
    with pytest.raises(DatasetError, match="sub-001"):
        read_case_tables(paths, parse, "table")


def test_a_damaged_batch_costs_no_other_its_speed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(case_tables, "_AT_ONCE", 3)
    paths = write(tmp_path, [*numbers(3), "name\tvalue\tmore\na\t1\tb\n", *numbers(5)])
    assert len(read_case_tables(paths, parse, "table")) == 1 + 3 + 1


def test_parse_table__numbers_may_be_missing_names_not() -> None:
    text = b"name\tvalue\tother\nn/a\t1.5\t2\nb\tn/a\tx\n"
    table = parse_table(io.BytesIO(text), ["value", "name"], ["value"])
    assert list(table.columns) == ["value", "name"]
    assert table["name"].tolist() == ["n/a", "b"]
    assert np.isnan(table["value"].iloc[1])
    with pytest.raises(ValueError, match="x"):
        parse_table(io.BytesIO(text), ["other"], ["other"])
    with pytest.raises(KeyError):
        parse_table(io.BytesIO(text), ["absent"], [])


def test_parse_table__whole_numbers_beyond_64_bits_are_numbers() -> None:
    frame = parse_table(io.BytesIO(b"method\tssim\na\t100000000000000000000\nb\tn/a\n"), ["method", "ssim"], ["ssim"])
    assert frame["ssim"].dtype == np.float64
    np.testing.assert_array_equal(frame["ssim"], [1e20, np.nan])


def test_in_order__network_first_then_the_baselines_as_listed() -> None:
    rows = pd.DataFrame({"space": "T1w", "model": "m", "method": ["zeta", "regression", "constant", "pix2pix"], "n": 0})
    assert in_order(rows, ["n"])["method"].tolist() == ["pix2pix", "constant", "regression", "zeta"]
