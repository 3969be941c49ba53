"""What views show beside a record's summary: a prediction's parts, the words of an axis."""

from typing import TYPE_CHECKING, Final

from oomph.estimate.prediction import DeviceMemory, MemoryEstimate, is_card
from oomph.records.grouping import SettingNames
from oomph.records.summary import RecordSummary
from oomph.units import count

if TYPE_CHECKING:
    from oomph.records.schema import Record


COMPONENTS: Final = ("weights", "kv_cache", "recurrent", "compute", "output", "overhead")
"""DeviceMemory's parts in the order they are stacked."""
UNSET: Final = "not set"


def experts_word(experts: int | None) -> str:
    """The number of active experts; a dense model has none, and an imported row may not say."""
    return UNSET if experts is None else str(experts)


def run_words(summary: RecordSummary, names: SettingNames) -> str:
    """The run by its axes, and by what tells its setting from the others on the page."""
    experts = summary.n_expert_used
    words = (f"n_ctx {count(summary.n_ctx)}", f"{experts} experts" if experts else "")
    return ", ".join(part for part in (*words, names.of(summary.setting)) if part)


def predicted_components(memory: MemoryEstimate) -> dict[str, int]:
    """Bytes by component of a prediction, of the same memory: the cards', or the host's where there
    is no card."""
    cards = [device for name, device in memory.devices.items() if is_card(name)]
    counted: list[DeviceMemory] = cards or list(memory.devices.values())
    sums = {
        component: sum(getattr(device, f"{component}_bytes") for device in counted)
        for component in COMPONENTS
    }
    return {component: n_bytes for component, n_bytes in sums.items() if n_bytes}


def unread_reasons(record: "Record") -> tuple[str, ...]:
    """What the probes could not read of the cards, with the reasons that NVML gave, and which took
    long to answer."""
    found = [
        f"{probe} once took {took_s:.1f} s to answer"
        for probe, took_s in record.conditions.slow_probes.items()
    ]
    for device, card in record.conditions.cards.items():
        by_reason: dict[str, list[str]] = {}
        for name, reason in card.unread.items():
            by_reason.setdefault(reason, []).append(name)
        found += [
            f"{device}: NVML tells no {', '.join(names)} ({reason})"
            for reason, names in by_reason.items()
        ]
    return tuple(found)
