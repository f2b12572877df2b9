from bids_spectsynth.reports.group.figures import pictures

SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:dc="http://purl.org/dc/elements/1.1/" width="{width}"><metadata>'
    "<dc:title>What it shows</dc:title><dc:description>Of whom.</dc:description></metadata></svg>"
)


def test_pictures__say_what_they_carry_and_what_is_missing_is_left_out(tmp_path):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures/a.svg").write_text(SVG.format(width="300pt"))
    (tmp_path / "figures/b.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" width="510pt"/>')
    first, second = pictures(tmp_path, ["a.svg", "none.svg", "b.svg"])
    assert first.caption == "What it shows. Of whom. As PNG: figures/a.png."
    assert (first.narrow, second.narrow) == (True, False)
    assert second.alt == "b"
