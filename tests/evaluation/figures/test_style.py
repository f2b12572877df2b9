import numpy as np
import pytest
from matplotlib.figure import Figure

from bids_spectsynth.evaluation.figures.style import fix_layout, print_style


def crowded() -> Figure:
    figure = Figure(figsize=(14, 5), layout="constrained")
    for number, axes in enumerate(figure.subplots(1, 3)):
        axes.barh([f"a long name of row {n}" * (1 + number) for n in range(4)], np.arange(4) * 10**number)
        axes.set_xlabel("two\nlines")
    figure.suptitle("A title")
    figure.legend(["bars"], loc="outside lower center")
    return figure


def test_a_settled_figure_is_laid_out_as_a_drawn_one_and_stays_so() -> None:
    with print_style():
        drawn, settled = crowded(), crowded()
        drawn.draw_without_rendering()
        fix_layout(settled)
        places = [[axes.get_position().bounds for axes in figure.axes] for figure in (drawn, settled)]
        assert places[0] == places[1]
        assert places[0] != [axes.get_position().bounds for axes in crowded().axes]
        settled.axes[0].set_xlabel("four\nlines\nof\ntext")
        settled.draw_without_rendering()
        assert [axes.get_position().bounds for axes in settled.axes] == places[1]


def test_a_figure_without_a_layout_engine_is_left_as_it_is() -> None:
    figure = Figure(figsize=(6, 4))
    figure.add_axes((0.1, 0.2, 0.3, 0.4))
    fix_layout(figure)
    assert figure.axes[0].get_position().bounds == pytest.approx((0.1, 0.2, 0.3, 0.4))
