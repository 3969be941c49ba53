"""Predicted memory over context and experts, and where it meets the card.

Stands apart from `compare`, which has one prediction a record: a map also shows what nobody has
measured, and the line along which a card is full lies between two measurements.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from oomph.calibrate.comparison import record_config
from oomph.calibrate.expected_memory import PHANTOM
from oomph.cards import Card, numbered
from oomph.config import RunConfig
from oomph.estimate.coefficients import Coefficients, default_coefficients
from oomph.estimate.estimator import Estimator
from oomph.estimate.overhead import NVIDIA_MEMORY
from oomph.frozen import frozen
from oomph.measure.accidents import ran_out
from oomph.records.grouping import evenly
from oomph.records.summary import RecordSummary, by_setting

if TYPE_CHECKING:
    from oomph.records.schema import Record


ROUND_CONTEXTS: Final = (8192, 16384, 32768, 65536, 131072)
FEWEST_CONTEXTS: Final = 5
"""A setting measured at fewer contexts, or nowhere but about its frontier, gets round ones beside
them."""
MOST_CONTEXTS: Final = 64
"""Of more measured contexts, so many in even steps are predicted anew."""
BEYOND: Final = 4
"""The frontier is looked for up to so many times the largest context that was measured."""

Square = tuple[int, int | None]
"""n_ctx and n_expert_used, None for a dense model."""


@frozen
class MemoryGrid:
    """One setting's predicted bytes on the cards, and by experts the largest context that is
    predicted to fit.

    Without a card the bytes are the host's and there is no frontier. `record_ids` are the setting's
    records.
    """

    record_ids: frozenset[str]
    n_bytes: Mapping[Square, int]
    frontier: Mapping[int | None, int]


def memory_grids(
    estimator: Estimator, summaries: Iterable[RecordSummary], *, most: int
) -> list[MemoryGrid]:
    """Of records of the estimator's model and card: the settings with the most points, at most
    `most` of them.

    A setting in which nothing ran and nothing ran out of memory is left out: llama.cpp refuses it.
    """
    groups = [group for group in by_setting(summaries).values() if any(map(_tells, group))]
    return [_grid(estimator, group) for group in sorted(groups, key=len, reverse=True)[:most]]


def _tells(summary: RecordSummary) -> bool:
    return summary.succeeded or ran_out(summary.record)


def _grid(estimator: Estimator, summaries: Sequence[RecordSummary]) -> MemoryGrid:
    by_experts: dict[int | None, RunConfig] = {}
    for summary in summaries:
        if summary.n_expert_used not in by_experts:
            by_experts[summary.n_expert_used] = record_config(summary.record)
    contexts = _contexts({summary.n_ctx for summary in summaries})
    if len(contexts) > MOST_CONTEXTS:
        contexts = list(evenly(contexts, MOST_CONTEXTS))
    n_bytes: dict[Square, int] = {}
    frontier: dict[int | None, int] = {}
    for experts, config in by_experts.items():
        for n_ctx in contexts:
            n_bytes[n_ctx, experts] = _bytes(estimator, config.with_(n_ctx=n_ctx))
        if estimator.gpu_memory_bytes and config.n_devices:
            knobs = {knob: value for knob, value in config.to_dict().items() if knob != "n_ctx"}
            frontier[experts] = estimator.max_context(limit=BEYOND * contexts[-1], **knobs)
    return MemoryGrid(
        record_ids=frozenset(summary.record.record_id for summary in summaries),
        n_bytes=n_bytes,
        frontier=frontier,
    )


def _contexts(measured: set[int]) -> list[int]:
    between = (
        {n_ctx for n_ctx in ROUND_CONTEXTS if n_ctx < max(measured)}
        if len(measured) < FEWEST_CONTEXTS or max(measured) < 2 * min(measured)
        else set()
    )
    return sorted(measured | between)


def _bytes(estimator: Estimator, config: RunConfig) -> int:
    memory = estimator.memory(config)
    return (
        memory.total_vram_bytes
        if config.n_devices
        else sum(d.total_bytes for d in memory.devices.values())
    )


def as_measured(estimator: Estimator, record: "Record") -> Estimator:
    """The estimator for the very cards of `record`: each with its own usable bytes, and no CUDA
    context on a phantom. A card of another name than all of the estimator's is of the first's kind.
    """
    coefficients = estimator.coefficients
    if record.environment.backend == PHANTOM:
        coefficients = without_context(coefficients or default_coefficients())
    measured = [
        (size, card.get("name"))
        for card in record.environment.gpus
        if isinstance(size := card.get("usable_bytes"), int)
    ]
    kinds = {card.spec.name: card.spec for card in estimator.cards if card.spec}
    cards = numbered(
        Card(spec=kinds.get(str(name), estimator.gpu), memory_bytes=size) for size, name in measured
    )
    return estimator.changed(coefficients=coefficients, gpu=cards or None)


def without_context(coefficients: Coefficients) -> Coefficients:
    """The coefficients of a card whose processes have no CUDA context."""
    none = dict.fromkeys(NVIDIA_MEMORY, 0.0)
    return coefficients.with_values(values={**coefficients.values, **none})
