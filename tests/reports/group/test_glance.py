"""The table of all participants, from a small output folder with images."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bids_spectsynth.bids.output_files import find_synthetic
from bids_spectsynth.bids.participants import update_participants
from bids_spectsynth.bids.prepared import find_prepared
from bids_spectsynth.evaluation.group.bland_altman import group_agreement
from bids_spectsynth.evaluation.group.outliers import group_outliers, write_group_outliers
from bids_spectsynth.evaluation.group.page_ratings import write_page_ratings
from bids_spectsynth.evaluation.group.quality import group_quality, write_group_quality
from bids_spectsynth.evaluation.group.tables import group_tables, write_group_tables
from bids_spectsynth.reports.group.glance import glance_section
from bids_spectsynth.reports.group.glance_numbers import best_methods, glance_numbers
from bids_spectsynth.reports.group.page import group_report
from bids_spectsynth.reports.group.thumbnails import write_thumbnails
from bids_spectsynth.reports.html import Table
from bids_spectsynth.reports.pictures.thumbnail import SIZE

EVIL = "<b onclick=x>bad</b>"


@pytest.fixture(scope="module")
def cohort(tmp_path_factory, write):
    """Six with images, 06 poorly registered; 07 was skipped, of 08 there is only a page."""
    root = tmp_path_factory.mktemp("glance")
    out, ratings = root / "out", root / "ratings"
    write.describe(out)
    rows = {}
    for number in range(1, 7):
        label = f"0{number}"
        write.case(out, label, poor=label == "06")
        write.synthetic(out, label, "pix2pixPet", "test", error=0.1 if number < 6 else 0.9)
        write.synthetic(out, label, "pix2pixT1w", "test", error=0.3)
        rows[label] = {"split": "test", "status": "ok", "reason": ""}
    rows["07"] = {"status": "skipped", "reason": "no PET"}
    rows["05"] |= {"status": "stopped", "reason": "the run ended"}
    update_participants(out, rows)
    for label in ("01", "08"):
        (out / f"sub-{label}.html").write_text("<!DOCTYPE html>")
    tables = group_tables(out)
    write_group_tables(tables, out)
    quality = group_quality(out, tables.metrics, group_agreement(out).volumes)
    write_group_quality(quality, out)
    write_group_outliers(group_outliers(quality), out)
    ratings.mkdir()
    said = [{"section": "registration", "verdict": "fail", "comment": EVIL}, {"section": "siscom", "verdict": "pass"}]
    form = {"format_version": 1, "software": "bids_spectsynth", "version": "1", "participant_id": "sub-01",
            "session_id": "", "rater": "AB", "ratings": said}  # fmt: skip
    (ratings / "one.json").write_text(json.dumps(form))
    (ratings / "bad.json").write_text("{")
    write_page_ratings(ratings, out)
    return out


@pytest.fixture(scope="module")
def rows(cohort):
    """Cells of the table by participant and heading."""
    (table,) = (block for block in glance_section(cohort).blocks if isinstance(block, Table))
    headings = [column.label for column in table.columns]
    named = [dict(zip(headings, row, strict=True)) for row in table.rows]
    return {row["Participant"].text: row for row in named}


def test_glance_section__everybody_has_a_row_with_status_and_link(rows):
    assert list(rows) == [f"sub-0{n}" for n in range(1, 9)]
    assert [rows[f"sub-0{n}"]["Participant"].href for n in (1, 2, 8)] == ["sub-01.html", "", "sub-08.html"]
    assert [rows[f"sub-0{n}"]["Status"].text for n in (1, 7, 8)] == ["ok", "skipped", "n/a"]
    assert rows["sub-07"]["Flags"].text == "skipped"
    assert rows["sub-05"]["Flags"].text == "stopped"
    assert rows["sub-07"]["RMSE model"].text == "–"


def test_glance_section__key_numbers(cohort, rows):
    metrics = pd.read_csv(cohort / "group_metrics.tsv", sep="\t")
    own = metrics[(metrics["model"] == "pix2pixPet") & (metrics["participant_id"] == "sub-02") & metrics["in_block"]]
    means = own.groupby("method")["mask_rmse"].mean()
    assert rows["sub-02"]["RMSE model"].text == f"{means['pix2pix']:.3f}"
    assert rows["sub-02"]["RMSE model"].tone == "best"
    assert rows["sub-02"]["RMSE baseline"].text == f"{means['constant']:.3f}"
    assert rows["sub-06"]["RMSE model"].tone == "worse", "behind its baseline"
    assert rows["sub-02"]["Overlap"].text == "0.93"
    quality = pd.read_csv(cohort / "group_quality.tsv", sep="\t")
    mask = quality[(quality["quantity"] == "mask_volume") & (quality["participant_id"] == "sub-02")]["value"].item()
    assert rows["sub-02"]["Mask mL"].text == f"{mask:.0f}"


def test_glance_section__flags_and_the_worst_verdict(rows):
    flags = rows["sub-06"]["Flags"].text.split("\n")
    assert flags[0] == "POOR PET to T1w"
    assert re.fullmatch(r"\d outliers?", flags[1])
    assert rows["sub-06"]["Overlap"].tone == "bad"
    assert rows["sub-02"]["Flags"].text == "–"
    assert (rows["sub-01"]["Rating"].text, rows["sub-01"]["Rating"].tone) == ("fail", "bad")
    assert rows["sub-02"]["Rating"].text == "–"


def test_glance_section__columns_that_nobody_has_are_left_out(rows):
    assert "Top focus" not in rows["sub-01"]
    assert "p" not in rows["sub-01"]


def test_glance_section__without_anybody_there_is_none(tmp_path):
    assert glance_section(tmp_path) is None


def test_write_thumbnails__synthetic_stands_in_the_pixels_and_old_ones_go(cohort, rows):
    folder = cohort / "figures/participants"
    assert sorted(path.stem for path in folder.glob("*.webp")) == [f"sub-0{n}" for n in range(1, 7)]
    cell = rows["sub-02"]["Picture"]
    assert cell.image == "figures/participants/sub-02.webp"
    assert cell.text == "sub-02: synthetic SPECT by pix2pixPet"
    pixels = np.asarray(Image.open(cohort / cell.image).convert("RGB")).astype(int)
    assert pixels.shape[:2] == SIZE[::-1]
    # Red letters of alarm above the slices, and a brain below.
    letters = (pixels[:36, :, 0] > 180) & (pixels[:36, :, 2] < 150)
    assert letters.sum() > 600
    assert (pixels[60:].max(axis=2) > 100).mean() > 0.1
    for old in ("sub-99.webp", "sub-01.png"):
        (folder / old).write_bytes(b"old")
    write_thumbnails(cohort, {}, "pix2pixPet")
    assert sorted(path.name for path in folder.iterdir()) == [f"sub-0{n}.webp" for n in range(1, 7)]


def test_write_thumbnails__what_is_unchanged_stays_and_another_model_is_drawn(cohort, rows):
    path = cohort / rows["sub-02"]["Picture"].image
    write_thumbnails(cohort, {}, "pix2pixPet")
    before = path.stat().st_mtime_ns
    write_thumbnails(cohort, {}, "pix2pixPet")
    assert path.stat().st_mtime_ns == before
    made = write_thumbnails(cohort, {}, "pix2pixT1w")
    assert made["sub-02"].alt == "sub-02: synthetic SPECT by pix2pixT1w"
    assert path.stat().st_mtime_ns > before
    path.write_bytes(b"damaged")
    write_thumbnails(cohort, {}, "pix2pixT1w")
    assert path.stat().st_size > 1000
    write_thumbnails(cohort, {}, "pix2pixPet")


def test_write_thumbnails__a_damaged_image_costs_its_own(cohort, tmp_path, write, caplog):
    write.case(tmp_path, "01")
    write.synthetic(tmp_path, "01", "pix2pixPet", "test")
    (case,) = find_prepared(tmp_path, "T1w")
    find_synthetic(tmp_path, case)[0].path.write_bytes(b"no image")
    assert write_thumbnails(tmp_path, {}, "") == {}
    assert "sub-01: no thumbnail" in caplog.text


def test_glance_numbers__without_tables_only_what_the_files_say(tmp_path, write):
    write.case(tmp_path, "01", poor=True)
    numbers = glance_numbers(tmp_path)
    assert numbers.overlap == {"sub-01": 0.42}
    assert numbers.poor == {"sub-01": ["PET to T1w"]}
    assert (numbers.mask_ml, numbers.model_error, numbers.compared) == ({}, {}, None)


def summary(*rows):
    columns = ["model", "method", "scale", "scaling", "metric", "subject_mean", "n_subjects"]
    return pd.DataFrame(rows, columns=columns)


def test_best_methods__lowest_mean_over_both_parts_of_the_cohort():
    on = ("volume", "volume")
    table = summary(
        ("a", "pix2pix", *on, "mask_rmse", 0.1, 1), ("a", "pix2pix", *on, "mask_rmse", 0.4, 9),
        ("b", "pix2pix", *on, "mask_rmse", 0.2, 10), ("b", "constant", *on, "mask_rmse", 0.3, 10),
        ("b", "petCopy", *on, "mask_rmse", 0.25, 10), ("a", "meanSpect", *on, "mask_rmse", 0.1, 10),
        ("b", "pix2pix", *on, "mask_ssim", 0.0, 10),
    )  # fmt: skip
    compared = best_methods(table)
    assert (compared.model, compared.baseline, compared.scale) == ("b", "petCopy", "volume")
    assert (compared.n_models, compared.n_baselines) == (2, 2)
    assert "b (the lowest mean of 2 models) and of Copy of the PET (the lowest mean of 2 baselines)" in compared.text


def test_best_methods__fewer_participants_do_not_win():
    table = summary(
        ("a", "pix2pix", "volume", "volume", "mask_rmse", 0.1, 2),
        ("b", "pix2pix", "volume", "volume", "mask_rmse", 0.2, 9),
    )
    compared = best_methods(table)
    assert (compared.model, compared.baseline) == ("b", None)


def test_best_methods__without_a_network():
    assert best_methods(summary(("a", "constant", "volume", "volume", "mask_rmse", 0.1, 2))) is None
    assert best_methods(pd.DataFrame()) is None


def test_page__participants_ratings_and_outliers_stand_first(cohort, parse):
    html = group_report(cohort).read_text(encoding="utf-8")
    parsed = parse(html)
    assert re.findall(r"<h2>([^<]*)</h2>", html)[:4] == ["Verdicts", "Participants", "Ratings", "Outliers"]
    assert html.count('loading="lazy"') == 6
    assert EVIL not in html, "a comment is escaped"
    assert EVIL in parsed.text
    assert "2 ratings of 1 participants by 1 raters" in parsed.text
    assert "bad.json: " in parsed.text
    outliers = parsed.text[parsed.text.rindex(" Outliers ") :]
    assert re.search(r"Overlap, PET to T1w: 0.420, unusually low; the median of 6 is 0.930", outliers)
    assert "Errors" not in re.findall(r"<h2>([^<]*)</h2>", html)
