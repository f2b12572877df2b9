"""Who is kept out of training by a column of participants.tsv."""

import pytest

from bids_spectsynth.errors import UsageError
from bids_spectsynth.options.settings import make_settings
from bids_spectsynth.synthesis.cohort.hold_out import held_out

TABLE = "participant_id\tage\tresection\nsub-01\t20\tyes\nsub-02\t30\tno\n03\t40\t yes \nsub-04\t\tn/a\n"


@pytest.fixture
def find(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "out").mkdir()

    def make(*conditions, dataset=TABLE, output=None, **values):
        for name, text in (("data", dataset), ("out", output)):
            if text is not None:
                (tmp_path / name / "participants.tsv").write_text(text, encoding="utf-8-sig")
        plain = {"bids_dir": tmp_path / "data", "output_dir": tmp_path / "out", "analysis_level": "participant"}
        return held_out(make_settings({**plain, "hold_out": list(conditions), **values}))

    return make


def test_participants_with_the_value(find):
    assert find("resection=yes") == {"01", "03"}
    assert find("resection=yes", "age = 30") == {"01", "02", "03"}
    assert find("participant_id=sub-04") == {"04"}


def test_without_a_condition_no_table_is_read(find):
    assert find(dataset=None) == frozenset()


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (
            "surgery=yes",
            r"surgery=yes: .*participants\.tsv has no column surgery; it has participant_id, age",
        ),
        ("resection=left", r"--hold-out resection=left: nobody has this value in .*; there are n/a, no, yes"),
    ],
)
def test_a_condition_that_nobody_fulfils_names_what_there_is(find, condition, message):
    with pytest.raises(UsageError, match=message):
        find(condition)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read"),
        ("", "has no participants"),
        ("participant_id\tresection\n", "has no participants"),
        ("id\tresection\n01\tyes\n", "has no participants"),
    ],
)
def test_no_usable_table(find, text, message):
    with pytest.raises(UsageError, match=message):
        find("resection=yes", dataset=text)


def test_the_dataset_decides_where_it_is_there(find):
    assert find("resection=yes", output="participant_id\tresection\nsub-09\tyes\n", mode="train") == {"01", "03"}


@pytest.mark.parametrize("output", [None, "participant_id\tsplit\nsub-01\ttest\n"])
def test_training_without_the_dataset_and_the_column(tmp_path, output):
    (tmp_path / "out").mkdir()
    if output is not None:
        (tmp_path / "out" / "participants.tsv").write_text(output)
    settings = make_settings(
        {
            "bids_dir": tmp_path / "gone",
            "output_dir": tmp_path / "out",
            "analysis_level": "participant",
            "mode": "train",
            "hold_out": "resection=yes",
        }
    )
    with pytest.raises(UsageError, match=r"has no column resection; give the folder of the dataset.*--split-file"):
        held_out(settings)
    (tmp_path / "out" / "participants.tsv").write_text(TABLE)
    assert held_out(settings) == {"01", "03"}


def test_a_value_may_hold_an_equals_sign(find):
    assert find("note=a=b", dataset="participant_id\tnote\nsub-01\ta=b\nsub-02\tb\n") == {"01"}


@pytest.mark.parametrize(("n", "end"), [(10, "v08, v09"), (11, "v08, v09, ...")])
def test_at_most_ten_values_are_shown(find, n, end):
    rows = "".join(f"sub-{k:02d}\tv{k:02d}\n" for k in range(n))
    with pytest.raises(UsageError, match=rf"; there are v00, v01, .*{end.replace('.', '[.]')}$"):
        find("site=x", dataset=f"participant_id\tsite\n{rows}")


def test_messages_name_the_option_the_file_and_the_columns(find, tmp_path):
    with pytest.raises(UsageError, match=r"^--hold-out: .*data/participants\.tsv cannot be read \(No such file"):
        find("a=b", dataset=None)
    with pytest.raises(UsageError, match=r"has no participants; participant_id and further columns needed$"):
        find("a=b", dataset="id\ta\n01\tb\n")
    (tmp_path / "data" / "participants.tsv").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(UsageError, match=r"^--hold-out: .* is not a tab-separated text table \("):
        find("a=b", dataset=None)


def test_without_the_dataset_every_column_must_be_in_the_output_folder(find):
    own = "participant_id\tresection\nsub-09\tyes\n"
    with pytest.raises(UsageError, match=r"has no column age and resection; give the folder"):
        find("resection = yes", "age=20", dataset=None, output=own, mode="train")
    assert find("resection = yes", dataset=None, output=own, mode="train") == {"09"}
