import pytest
from pydicom.dataset import Dataset

from bids_spectsynth.dicom.importer.choosing import choose
from bids_spectsynth.dicom.importer.states import described_state
from bids_spectsynth.dicom.reading.files import Series
from bids_spectsynth.errors import UsageError


@pytest.fixture
def spect(nuclear):
    def make(number: int, description: str, **more: object) -> Series:
        return Series(number, description, "NM", (nuclear(SeriesDescription=description, StudyDescription="", **more),))

    return make


@pytest.fixture
def mr(slices):
    def make(number: int, description: str, count: int = 40, **more: object) -> Series:
        (header, *_) = slices()
        header.SeriesDescription = description
        for keyword, value in more.items():
            setattr(header, keyword, value)
        return Series(number, description, "MR", (header,) * count)

    return make


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("Brain SPECT ictal", "ictal"), ("INTERICTAL HMPAO", "interictal"), ("inter-ictal", "interictal"),
        ("HMPAO_ICTAL_AC", "ictal"), ("postictal", "ictal"), ("baseline SPECT", "interictal"), ("Brain", None),
        ("SPECT non-ictal", None), ("Brain NON ICTAL", None), ("not ictal", None), ("no seizure", None),
        ("without seizure", None), ("seizure-free", None), ("non-ictal, baseline", "interictal"),
        ("not interictal", None), ("seizure", "ictal"), ("nonictal", None), ("ictal, no AC", "ictal"),
        ("ictal vs interictal", None), ("practical", None), ("peri-ictal", "ictal"), ("inter ictal ECD", "interictal"),
    ],
)  # fmt: skip
def test_described_state__by_words(text, state, spect) -> None:
    assert described_state(spect(1, text)) == state


def test_described_state__by_the_study_where_the_series_is_silent(spect) -> None:
    one = spect(1, "TOMO AC")
    one.first.StudyDescription = "Interictal brain perfusion"
    assert described_state(one) == "interictal"


def test_choose__roles_by_descriptions_and_the_rest_left_out_with_reasons(spect, mr, nuclear) -> None:
    capture = Series(9, "Screen Save", "OT", (nuclear(SOPClassUID="1.2.840.10008.5.1.4.1.1.7"),))
    series = [
        mr(2, "sag MPRAGE"),
        mr(3, "T1 MPRAGE Gd"),
        mr(4, "T2 FLAIR"),
        spect(5, "ictal"),
        spect(6, "interictal"),
        capture,
    ]
    choices = choose(series)
    assert [(one.role, one.series.number) for one in choices.taken] == [("T1w", 2), ("interictal", 6), ("ictal", 5)]
    reasons = {one.number: reason for one, reason in choices.left_out}
    assert set(reasons) == {3, 4, 9}
    assert "contrast" in reasons[3]
    assert "secondary capture" in reasons[9]


def test_choose__t1w_by_its_sequence_where_no_name_says_so(mr) -> None:
    one = mr(2, "head", ScanningSequence="GR", MRAcquisitionType="3D", EchoTime="3", RepetitionTime="8")
    assert [choice.role for choice in choose([one]).taken] == ["T1w"]
    assert choose([mr(2, "head", ScanningSequence="SE", EchoTime="90")]).taken == ()
    assert choose([mr(2, "T1 MPRAGE", count=3)]).taken == ()
    assert choose([mr(2, "head", ScanningSequence="GR", MRAcquisitionType="3D", EchoTime=["2", "3"])]).taken == ()


def test_choose__an_unknown_state_is_asked_for(spect) -> None:
    with pytest.raises(UsageError, match=r"ictal or interictal.*--task, or --series ictal=5"):
        choose([spect(5, "Brain")])
    assert choose([spect(5, "Brain")], "ictal").taken[0].role == "ictal"
    assert choose([spect(5, "Brain")], named={"5": "interictal"}).taken[0].role == "interictal"


def test_choose__two_for_one_role_are_asked_for_unless_one_is_not_corrected(spect) -> None:
    both = [spect(5, "ictal a", CorrectedImage=["ATTN"]), spect(6, "ictal b", CorrectedImage=["ATTN"])]
    with pytest.raises(UsageError, match=r"each of these could be the ictal: series 5 .*series 6 .*--series ictal=5"):
        choose(both)
    both[1].first.CorrectedImage = ["UNIF"]
    choices = choose(both)
    assert choices.taken[0].series.number == 5
    assert choices.left_out[0][1] == "not corrected for attenuation, by its header"


def test_choose__what_is_named_is_taken_and_nothing_else_of_its_role(spect) -> None:
    choices = choose([spect(5, "ictal"), spect(6, "ictal")], named={"6": "ictal"})
    assert [one.series.number for one in choices.taken] == [6]
    assert choices.left_out[0][1] == "another one is named by --series"


@pytest.mark.parametrize(
    ("number", "message"), [("7", "0 series have the number 7"), ("5", "cannot be imported: planar")]
)
def test_choose__a_number_that_cannot_be_taken_is_refused(number, message, spect) -> None:
    planar = spect(5, "static", ImageType=["ORIGINAL", "PRIMARY", "STATIC", "EMISSION"])
    with pytest.raises(UsageError, match=message):
        choose([planar], named={number: "ictal"})


def test_described_state__of_an_empty_header_is_unknown() -> None:
    assert described_state(Series(1, "", "NM", (Dataset(),))) is None


def test_described_state__a_seizure_in_the_order_of_a_study_is_no_state(spect) -> None:
    one = spect(1, "Transaxials AC")
    one.first.StudyDescription = "NM BRAIN SPECT SEIZURE FOCUS"
    assert described_state(one) is None
    one.first.StudyDescription = "Ictal SPECT, seizures"
    assert described_state(one) == "ictal"


def test_described_state__denied_by_the_series_it_is_not_looked_for_in_the_study(spect) -> None:
    one = spect(1, "non-ictal")
    one.first.StudyDescription = "ictal SPECT"
    assert described_state(one) is None


def test_choose__a_task_that_contradicts_the_description_is_refused_unless_forced(spect) -> None:
    with pytest.raises(UsageError, match=r"series 6 .*say interictal, --task says ictal; .*ictal=6") as caught:
        choose([spect(5, "brain"), spect(6, "interictal")], "ictal")
    assert "\n" not in str(caught.value)
    assert choose([spect(6, "interictal")], "ictal", force=True).taken[0].role == "ictal"
    assert choose([spect(6, "interictal")], "interictal").taken[0].role == "interictal"


def test_choose__series_that_share_a_number_have_a_suffix_and_what_is_of_no_use_does_not_count(spect) -> None:
    planar = spect(1, "static", ImageType=["ORIGINAL", "PRIMARY", "STATIC", "EMISSION"])
    assert choose([planar, spect(1, "OSEM")], named={"1": "ictal"}).taken[0].series.description == "OSEM"
    series = [planar, spect(1, "OSEM AC"), spect(1, "OSEM NC")]
    with pytest.raises(UsageError, match=r"series 1\.1 \(NM, OSEM AC\)"):
        choose(series)
    with pytest.raises(UsageError, match=r"0 series have the number 1; .* series 1\.1 .* series 1\.2 "):
        choose(series, named={"1": "ictal"})
    choices = choose(series, named={"1.2": "ictal", "1.1": "interictal"})
    assert [(one.role, one.series.description) for one in choices.taken] == [
        ("interictal", "OSEM AC"),
        ("ictal", "OSEM NC"),
    ]
