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
STAGES: Final = {
    "oom_weights": "no room for weights",
    "oom_kv": "no room for the cache",
    "oom_compute": "no room to compute",
    "oom_runtime": "full while running",
    "host_oom": "host full",
    "skipped": "not tried",
}
"""At which stage a point failed, for a figure."""
UNSET: Final = "not set"


def experts_word(experts: int | None) -> str:
    """The number of active experts; a dense model has none, and an imported row may not say."""
    return UNSET if experts is None else str(experts)


def cards_word(record: "Record") -> str:
    """The record's cards as people call them; empty without one."""
    names = [str(card.get("name", "a card")) for card in record.environment.gpus]
    return ", ".join(name.removeprefix("NVIDIA ").removeprefix("GeForce ") for name in names)


def card_bytes(record: "Record") -> int | None:
    """What the record's cards have to give together; None without one, or where one does not
    say."""
    sizes = [card.get("usable_bytes") for card in record.environment.gpus]
    known = [size for size in sizes if isinstance(size, int)]
    return sum(known) if known and len(known) == len(sizes) else None


def stage_words(record: "Record") -> str:
    """At which stage a record's point failed: how far it came where it ran out in use, else what
    had no room, or the outcome's own label."""
    n_filled = record.conditions.n_filled
    if record.outcome.label == "oom_runtime" and n_filled:
        return f"full at {count(n_filled)} tokens"
    return STAGES.get(record.outcome.label, record.outcome.label)


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
