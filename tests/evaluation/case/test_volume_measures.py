from bids_spectsynth.evaluation.case.metrics import METRICS, by_measure
from bids_spectsynth.evaluation.case.region_columns import VOLUME_DICTIONARY
from bids_spectsynth.evaluation.case.volume_measures import BASELINE_SD, VOLUME_MEASURES
from bids_spectsynth.evaluation.group.comparisons import StatisticsOptions, check_margins


def test_volume_measures__are_columns_with_their_units_and_no_metrics_of_slices() -> None:
    assert VOLUME_MEASURES[BASELINE_SD.name] is BASELINE_SD
    for name, measure in VOLUME_MEASURES.items():
        assert VOLUME_DICTIONARY[name] == {"Description": measure.description, "Units": measure.unit}
        assert name not in {*METRICS, *by_measure()}
        assert measure.label == measure.column_title == f"{measure.title} (%)"


def test_volume_measures__have_margins_by_name() -> None:
    check_margins(VOLUME_MEASURES)
    assert all(StatisticsOptions().margin(name) == measure.margin for name, measure in VOLUME_MEASURES.items())
