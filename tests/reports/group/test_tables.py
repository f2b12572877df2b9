import pandas as pd

from bids_spectsynth.reports.group.tables import lead_table


def summary_of(**fingerprints):
    keys = {"inputs": "pet", "space": "T1w", "scale": "slice", "scaling": "slice", "split": "test", "data_range": 2.0}
    keys |= {"metric": "mask_rmse", "n_subjects": 12, "n_slices": 60, "subject_sd": 0.01}
    return pd.DataFrame(
        {**keys, "model": model, "method": method, "subject_mean": 0.1 + 0.1 * place, "subjects": fingerprint}
        for model, own in fingerprints.items()
        for place, (method, fingerprint) in enumerate(zip(("pix2pix", "constant"), own, strict=True))
    )


def test_only_what_was_rated_on_the_same_subjects_is_ranked():
    same = lead_table(summary_of(a=("1", "1"), b=("1", "1")))
    assert [[cell.tone for cell in row[5:7]] for row in same.rows] == [["best", ""]] * 2
    assert same.footnotes == []
    table = lead_table(summary_of(a=("1", "2"), b=("1", "1")))
    assert [[cell.tone for cell in row[5:7]] for row in table.rows] == [["", ""], ["best", ""]]
    assert table.rows[0][5].text.endswith("n = 12")
    assert table.footnotes[0][1].startswith("test: a (12), b (12).")
