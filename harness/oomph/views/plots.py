"""The figures of a page for a notebook: records in, a matplotlib Figure out.

Each is the figure that `oomph report` draws of the same records; `estimator` adds what is predicted
of them. ConfigError where the records hold nothing of the kind.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from oomph.analysis.claims import CLAIMS_FILE, read_claims
from oomph.calibrate.comparison import record_config
from oomph.errors import ConfigError
from oomph.estimate.estimator import Estimator
from oomph.records.schema import Record
from oomph.records.store import read_records
from oomph.records.summary import by_subject, summaries_of
from oomph.views.across import machines_of, speed_across
from oomph.views.claims_page import claims_chapter
from oomph.views.figures import (
    MOST_MAPS,
    Picture,
    energy_pictures,
    memory_pictures,
    quality_pictures,
    source_pictures,
    speed_pictures,
)
from oomph.views.material import Material
from oomph.views.task_figures import cost_pictures, task_pictures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Kind = Literal["decode", "prefill"]


def plot_memory_by_context(
    records: Iterable[Record], estimator: Estimator | None = None
) -> "Figure":
    """Memory in MiB by n_ctx: llama.cpp's buffers, stacked, beside what is predicted; failed points
    with their stage, and the card's memory as a line."""
    return _figure("memory-by-context", memory_pictures, records, estimator)


def plot_memory_by_experts(
    records: Iterable[Record], estimator: Estimator | None = None
) -> "Figure":
    """The same by active experts, at the largest context that ran."""
    return _figure("memory-by-experts", memory_pictures, records, estimator)


def plot_memory_map(records: Iterable[Record], estimator: Estimator | None = None) -> "Figure":
    """Memory along n_ctx for each number of active experts, to scale, a panel for each setting;
    the scale of colours ends with the card."""
    return _figure("memory-map", memory_pictures, records, estimator)


def plot_memory_sources(records: Iterable[Record], estimator: Estimator | None = None) -> "Figure":
    """Each run's memory in MiB as every source tells it: estimate, llama.cpp's lines, probes."""
    return _figure("sources", source_pictures, records, estimator)


def plot_speed_by_depth(records: Iterable[Record], *, kind: Kind = "decode") -> "Figure":
    """Tokens per second against n_depth, a line for each number of active experts; medians, with
    bars from the slowest to the fastest sample."""
    return _figure(f"{kind}-by-depth", speed_pictures, records)


def plot_energy_by_depth(records: Iterable[Record], *, kind: Kind = "decode") -> "Figure":
    """Joules per token against n_depth, where a card counted them."""
    return _figure(f"{kind}-energy-by-depth", energy_pictures, records)


def plot_quality_by_experts(records: Iterable[Record]) -> "Figure":
    """Perplexity against active experts, with one standard error to either side."""
    return _figure("quality-by-experts", quality_pictures, records)


def plot_quality_by_context(records: Iterable[Record]) -> "Figure":
    """Nats per token against the tokens of context before it, with one standard error."""
    return _figure("quality-by-context", quality_pictures, records)


def plot_trade_offs(records: Iterable[Record]) -> "Figure":
    """Decode in tokens per second against perplexity, the area of a point its memory; named is what
    no other point beats in all three."""
    return _figure("speed-quality-memory", quality_pictures, records)


def plot_scores_by_length(records: Iterable[Record]) -> "Figure":
    """The share of right answers to tasks in percent against the length in tokens, a line for each
    setting, with Wilson's 95 % intervals."""
    return _figure("score-by-length", task_pictures, records)


def plot_cost_by_position(records: Iterable[Record]) -> "Figure":
    """The ratio of a setting's perplexity to the reference's against the context that a token was
    given, paired token by token, with 95 % intervals."""
    return _figure("cost-by-position", cost_pictures, records)


def plot_speed_by_machine(records: Iterable[Record], *, kind: Kind = "decode") -> "Figure":
    """Tokens per second against n_depth, a line for each machine, card or build: of the most active
    experts that each measured, its deepest point."""
    groups = by_subject(summaries_of(records))
    return _drawn(speed_across(machines_of(groups), kind), f"{kind}-across")


def plot_claims(folder: Path | str) -> "Figure":
    """What is claimed and what is allocated, in GB of 10^9 bytes, of a folder that `oomph claims`
    wrote."""
    place = Path(folder)
    chapter = claims_chapter(read_claims(place / CLAIMS_FILE), read_records([place]), {})
    return _drawn(chapter.pictures, "claims")


def _figure(
    name: str,
    drawn: Callable[[Material], Iterator[Picture]],
    records: Iterable[Record],
    estimator: Estimator | None = None,
) -> "Figure":
    return _drawn(drawn(_material(list(records), estimator)), name)


def _drawn(pictures: Iterable[Picture], name: str) -> "Figure":
    found = next((each.figure for each in pictures if each.name == name), None)
    if found is None:
        raise ConfigError(
            f"these records hold nothing for the figure {name}; `oomph report` draws what they hold"
        )
    return found


def _material(records: list[Record], estimator: Estimator | None) -> Material:
    """Of records of one model on one machine, with the estimator's predictions around them."""
    from oomph.advise.memory_map import as_measured, memory_grids

    if not records:
        raise ConfigError("there are no records to draw; run `oomph sweep` first")
    summaries = summaries_of(records)
    if len({summary.subject for summary in summaries}) > 1:
        raise ConfigError(
            "these records are of several models, machines or builds; draw those of one of them"
        )
    if estimator is None:
        return Material(summaries=summaries)
    here = as_measured(estimator, records[0])
    own = [summary for summary in summaries if summary.record.is_calibrating]
    return Material(
        summaries=summaries,
        predictions={
            summary.record.record_id: here.predict(record_config(summary.record)) for summary in own
        },
        memory_grids=memory_grids(here, own, most=MOST_MAPS),
    )
