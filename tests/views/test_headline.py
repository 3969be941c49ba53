"""Sentences say what the figures say, and are left out where there are none."""

from collections.abc import Callable

from oomph.calibrate.comparison import Comparison
from oomph.records.schema import Record
from oomph.records.summary import summaries_of
from oomph.units import MIB
from oomph.views.headline import evidence, headline, spread

Make = Callable[..., Record]


def test_the_headline_names_what_decides_memory(records: list[Record], make_record: Make) -> None:
    assert headline(summaries_of(records)) == (
        "Tiny-8x192 takes 225 MiB at n_ctx 1,024 and 316 MiB at 4,096:"
        " the context decides, the number of active experts hardly matters"
    )
    offload = [
        make_record(
            n_ctx=n_ctx, n_expert_used=e, buffers={"kv_cache_mib": {"CPU": [n_ctx / 32 + 100 * e]}}
        )
        for n_ctx in (1024, 2048)
        for e in (4, 8)
    ]
    assert headline(summaries_of(offload)).endswith(
        "context moves it by up to 32 MiB, active experts by up to 400 MiB"
    )


def test_the_headline_claims_nothing_that_was_not_varied(
    make_record: Make, make_failure: Make
) -> None:
    assert (
        headline(summaries_of([make_record()]))
        == "Tiny-8x192 takes 225 MiB of memory at n_ctx 1,024"
    )
    contexts = [make_record(n_ctx=1024), make_record(n_ctx=2048)]
    assert (
        headline(summaries_of(contexts))
        == "Tiny-8x192 takes 225 MiB at n_ctx 1,024 and 255 MiB at 2,048"
    )
    assert (
        headline(summaries_of([make_failure(n_ctx=2048)]))
        == "Tiny-8x192: no point ran to its end (1 oom_kv)"
    )


def test_the_evidence_is_speed_quality_estimate_and_failures(
    records: list[Record], comparisons: list[Comparison]
) -> None:
    prefill, decode, quality, *estimates, failures = evidence(summaries_of(records), comparisons)
    assert prefill.startswith(
        "Prefill: 465 tokens/s with 4 active experts, 233 with 8; with 8 it goes from 233 to"
    )
    assert "62.4 to 50 tokens/s as the depth grows from 0 to 2,048" in decode
    assert quality.startswith(
        "Perplexity by active experts: 22.2 with 8, 49.4 with 6, 99.5 with 4."
    )
    assert estimates == [
        "Predicted prefill is off by 10.0 % in the median and 10.0 % at worst, over 18 "
        "measurements, 100 % inside the predicted 90 % band.",
        "Predicted decode is off by 10.0 % in the median and 10.0 % at worst, over 18 measurements,"
        " 0 % inside the predicted 90 % band.",
    ]
    assert failures.startswith(
        "2 of 11 points failed (2 oom_kv) under a memory limit set for the purpose"
    )


def test_a_failure_without_a_limit_is_not_excused(make_record: Make) -> None:
    crashed = make_record(outcome={"label": "crash"}, timings=[], quality=None)
    assert evidence(summaries_of([crashed]), []) == (
        "1 of 1 points failed (1 crash); each is a record below, and the sweep went on.",
    )
    assert evidence(summaries_of([make_record(timings=[], quality=None)]), []) == (
        "All 1 points ran to their end.",
    )


def test_disturbed_points_are_counted(make_record: Make) -> None:
    disturbed = make_record(timings=[], quality=None, conditions={"other_processes": [{}, {}]})
    assert evidence(summaries_of([disturbed]), [])[-1].startswith("1 of 1 points were disturbed")


def test_a_spread_needs_two_values() -> None:
    totals = {(1024, 4): 10 * MIB, (2048, 4): 30 * MIB, (2048, 8): 35 * MIB}
    assert spread(totals, fixed=1) == 20 * MIB
    assert spread(totals, fixed=0) == 5 * MIB
    assert spread({(1024, 4): MIB}, fixed=0) is None


def test_the_headline_is_also_said_in_russian(
    records: list[Record], make_record: Make, make_failure: Make
) -> None:
    russian = headline(summaries_of(records), "ru").replace("\u00a0", " ")
    assert russian == (
        "Tiny-8x192 занимает 225 МиБ при n_ctx 1 024 и 316 МиБ при 4 096:"
        " всё решает контекст, число активных экспертов почти не важно"
    )
    alone = headline(summaries_of([make_record()]), "ru").replace("\u00a0", " ")
    assert alone == "Tiny-8x192 занимает 225 МиБ памяти при n_ctx 1 024"
    assert (
        headline(summaries_of([make_failure(n_ctx=2048)]), "ru")
        == "Tiny-8x192: ни одна точка не дошла до конца (1 oom_kv)"
    )
