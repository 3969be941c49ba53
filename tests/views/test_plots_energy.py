"""Energy is drawn where a card counted it, and nowhere else."""

from collections.abc import Callable

import pytest

from oomph.records.schema import Record, Timing
from oomph.records.summary import summaries_of
from oomph.views.figures import energy_pictures
from oomph.views.material import Material
from oomph.views.plots_energy import energy_by_experts, energy_table, plot_energy_by_depth

Make = Callable[..., Record]


def _decode(n_depth: int, joules: float | None) -> Timing:
    return Timing(
        test="tg32", n_tokens=32, n_depth=n_depth, samples_ns=[10**9] * 2, energy_j=joules
    )


@pytest.fixture
def counted(make_record: Make) -> list[Record]:
    """Two numbers of experts, two depths each, 64 tokens a test."""
    return [
        make_record(n_expert_used=8, timings=[_decode(0, 64.0), _decode(1024, 128.0)]),
        make_record(
            n_expert_used=10, timings=[_decode(1024, 192.0), _decode(0, 96.0), _decode(2048, None)]
        ),
    ]


def test_joules_a_token_stand_against_depth_by_experts(counted: list[Record]) -> None:
    series = energy_by_experts(summaries_of(counted), "tg")
    assert {e: [(p.n_depth, p.joules) for p in points] for e, points in series.items()} == {
        8: [(0, 1.0), (1024, 2.0)],
        10: [(0, 1.5), (1024, 3.0)],
    }
    axes = plot_energy_by_depth(series, kind="tg").axes[0]
    assert [list(line.get_ydata()) for line in axes.lines] == [[1.0, 2.0], [1.5, 3.0]]
    assert axes.get_ylabel() == "decode, joules per token"
    assert [row[3].text for row in energy_table(series).rows] == [
        "1.000",
        "2.000",
        "1.500",
        "3.000",
    ]


def test_a_page_without_a_counter_has_no_energy(
    counted: list[Record], records: list[Record]
) -> None:
    (picture,) = energy_pictures(Material(summaries=summaries_of(counted)))
    assert picture.name == "decode-energy-by-depth"
    assert "8: 1 J at 0 to 2 J at 1,024" in picture.alt
    assert not list(energy_pictures(Material(summaries=summaries_of(records))))
