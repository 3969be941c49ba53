"""Every figure of a page is one call in a notebook."""

from collections.abc import Callable
from pathlib import Path

import pytest
from matplotlib.figure import Figure

import oomph
from oomph.records.schema import Record

Make = Callable[..., Record]
OF_RECORDS = [
    "plot_memory_by_context",
    "plot_memory_by_experts",
    "plot_memory_map",
    "plot_speed_by_depth",
    "plot_quality_by_experts",
    "plot_trade_offs",
]


@pytest.mark.parametrize("name", OF_RECORDS)
def test_records_give_a_figure(name: str, records: list[Record]) -> None:
    assert isinstance(getattr(oomph, name)(records), Figure)


def test_an_estimator_adds_what_is_predicted(repository: Path) -> None:
    records = list(oomph.Store(repository / "results/phantom/frontier-qwen3-30b-a3b/rtx-5090"))
    estimator = oomph.estimator_for(records[0])
    bare, with_it = oomph.plot_memory_map(records), oomph.plot_memory_map(records, estimator)
    assert not [line for line in bare.axes[0].lines if line.get_linewidth() == 2]
    assert [line for axes in with_it.axes for line in axes.lines if line.get_linewidth() == 2]
    assert isinstance(oomph.plot_memory_sources(records, estimator), Figure)


def test_machines_and_claims_have_theirs(repository: Path, make_record: Make) -> None:
    other = make_record().environment.model_copy(update={"machine": "bench-2"})
    both = [make_record(), make_record(record_id="o", environment=other)]
    axes = oomph.plot_speed_by_machine(both, kind="prefill").axes[0]
    words = [text.get_text() for text in axes.get_legend().get_texts()]
    assert words == ["bench-1", "bench-2"]
    claims = oomph.plot_claims(repository / "results/phantom/claims-qwen3-30b-a3b").axes[0]
    assert claims.texts[0].get_text() == "8 experts, 32k, FP16: about 70 GB"
    with pytest.raises(oomph.OomphError, match="nothing for the figure decode-across"):
        oomph.plot_speed_by_machine(both[:1])


def test_what_is_not_there_is_said(records: list[Record], make_record: Make) -> None:
    with pytest.raises(oomph.OomphError, match="nothing for the figure decode-energy-by-depth"):
        oomph.plot_energy_by_depth(records)
    with pytest.raises(oomph.OomphError, match="nothing for the figure quality-by-context"):
        oomph.plot_quality_by_context(records)
    with pytest.raises(oomph.OomphError, match="there are no records to draw"):
        oomph.plot_memory_map([])
    other = make_record(record_id="o").environment.model_copy(update={"machine": "bench-2"})
    with pytest.raises(oomph.OomphError, match="several models, machines or builds"):
        oomph.plot_memory_map([*records, make_record(record_id="o", environment=other)])
