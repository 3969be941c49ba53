"""What each source says of a run, and what none of them explains."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomph.estimate.prediction import Prediction
from oomph.records.schema import Record
from oomph.records.summary import RecordSummary, summaries_of
from oomph.units import MIB
from oomph.views.memory_sources import (
    BEFORE,
    LINES,
    MOST_RUNS,
    REST,
    plot_memory_sources,
    run_sources,
    shown_runs,
    sources_table,
)

Make = Callable[..., Record]


def _on_card(
    make_record: Make, *, backend: str, peak_mib: int, baseline_mib: int | None = None
) -> Record:
    environment = make_record().environment.model_copy(update={"backend": backend})
    series: dict[str, Any] = {
        "probe": "nvml",
        "quantity": "vram",
        "device": "CUDA0",
        "peak_bytes": peak_mib * MIB,
        "baseline_bytes": None if baseline_mib is None else baseline_mib * MIB,
    }
    return make_record(
        environment=environment,
        memory=[series],
        record_id=backend,
        buffers={
            "model_mib": {"CUDA0": [800.0], "CPU_Mapped": [50.0]},
            "kv_cache_mib": {"CUDA0": [100.0]},
        },
    )


def test_a_card_has_four_sources_and_the_rest_of_its_own(
    make_record: Make, predictions: dict[str, Prediction]
) -> None:
    real = _on_card(make_record, backend="cuda", peak_mib=1400, baseline_mib=400)
    dry = _on_card(make_record, backend="phantom", peak_mib=930)
    (run,) = run_sources(
        summaries_of([real]),
        {real.record_id: next(iter(predictions.values()))},
        {real.record_id: RecordSummary.of(dry)},
    )
    assert [source.name for source in run.sources] == [
        "predicted",
        LINES,
        "dry run",
        "NVML peak",
    ]
    assert run.sources[1].parts == {"weights": 800 * MIB, "kv_cache": 100 * MIB}
    assert run.sources[2].parts == {LINES: 900 * MIB, REST: 30 * MIB}
    assert run.sources[3].parts == {BEFORE: 400 * MIB, LINES: 900 * MIB, REST: 100 * MIB}
    assert run.unexplained_bytes == 100 * MIB


def test_on_a_phantom_the_peak_is_the_dry_run(make_record: Make) -> None:
    (run,) = run_sources(summaries_of([_on_card(make_record, backend="phantom", peak_mib=930)]), {})
    assert [source.name for source in run.sources] == [LINES, "dry run"]


def test_pages_that_were_never_touched_shorten_the_bar_and_are_told(make_record: Make) -> None:
    (run,) = run_sources(summaries_of([make_record()]), {})  # 225 MiB of lines, 400 MiB resident
    assert run.unexplained_bytes == pytest.approx((400 - 225) * MIB, rel=0.01)
    small = [
        {
            "probe": "host",
            "quantity": "rss",
            "device": "host",
            "peak_bytes": 200 * MIB,
            "baseline_bytes": 50 * MIB,
        }
    ]
    (run,) = run_sources(summaries_of([make_record(memory=small)]), {})
    assert run.sources[-1].parts == {BEFORE: 50 * MIB, LINES: 150 * MIB}
    assert run.unexplained_bytes is not None
    assert run.unexplained_bytes < 0
    assert sources_table([run]).rows[0][-1].text.startswith("-74.")


@given(peak=st.integers(0, 10**12), before=st.integers(0, 10**12), lines=st.integers(0, 10**12))
def test_a_bar_is_as_long_as_the_peak(peak: int, before: int, lines: int) -> None:
    from oomph.views.memory_sources import _peak_parts

    parts = _peak_parts(peak, before, lines)
    assert sum(parts.values()) == peak
    assert all(part > 0 for part in parts.values())


def test_failed_limited_and_repeated_runs_are_left_out(
    records: list[Record], make_failure: Make
) -> None:
    assert (
        len(run_sources(summaries_of([*records[:9], *records[:9], make_failure(n_ctx=2048)]), {}))
        == 9
    )
    assert (
        run_sources(
            summaries_of([record.model_copy(update={"memory": []}) for record in records]), {}
        )
        == ()
    )


def test_few_runs_are_drawn_and_all_are_in_the_table(
    records: list[Record], predictions: dict[str, Prediction]
) -> None:
    runs = run_sources(summaries_of(records), predictions)
    shown = shown_runs(runs)
    assert len(shown) == MOST_RUNS < len(runs) == len(sources_table(runs).rows)
    axes = plot_memory_sources(shown, cards=False).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()][:3] == [
        "predicted",
        LINES,
        "RSS peak",
    ]
    assert "n_ctx 4,096, 8 experts" in [text.get_text() for text in axes.texts]
    longest = max(patch.get_x() + patch.get_width() for patch in axes.patches)
    assert longest == pytest.approx(400)
