"""What was just measured, in a line: a record, or the largest context of a combination."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from oomph.files import write_file
from oomph.measure.accidents import TRIES
from oomph.measure.bench import Bench
from oomph.measure.frontier import Frontier
from oomph.measure.runner import Runner
from oomph.measure.sweep import Sweep
from oomph.records.disturbance import remarks
from oomph.records.schema import Record
from oomph.units import count, duration, mib, rate
from oomph.views.table import escape_markdown


def opening_lines(runner: Runner, sweep: Sweep, out: Path, where: str) -> Iterator[str]:
    """What a sweep is going to measure, and what it measures once more."""
    if sweep.path and sweep.path.parent == out:
        yield from (f"{sweep.path}:", "", *sweep.path.read_text(encoding="utf-8").splitlines(), "")
    n_pending, n_points = runner.n_pending(sweep), runner.n_points(sweep)
    yield f"{sweep.name}: {n_pending} of {n_points} points to measure into {out}{where}"
    if again := runner.again(sweep):
        reasons = ", ".join(f"{n} {reason}" for reason, n in again.most_common())
        yield (
            f"{again.total()} of them again, as their records tell of an accident and not of the "
            f"configuration ({reasons}); a point is tried {TRIES} times at most"
        )


def record_line(record: Record, *, names_cards: bool = False) -> str:
    """One record in a line: what it was, how it ended, what it took, what puts it in doubt."""
    cards = " + ".join(f"card {card['index']} ({card['name']})" for card in record.environment.gpus)
    parts = [f"{record.label}{f' on {cards}' if names_cards else ''}: {record.outcome.label}"]
    peaks = {f"{series.quantity} {series.device}": series.peak_bytes for series in record.memory}
    parts += [
        f"{name} {mib(peak)}"
        for name, peak in peaks.items()
        if name == "rss host" or name.startswith("vram")
    ]
    best: dict[str, float] = {}
    for timing in record.timings:
        if not timing.test.startswith("cold"):
            speed = timing.n_tokens * timing.n_parallel * 1e9 / median(timing.samples_ns)
            best[timing.test] = max(speed, best.get(timing.test, 0.0))
    parts += [f"{test} {rate(speed)} t/s" for test, speed in best.items()]
    if drafted := sum(sum(timing.drafted) for timing in record.timings):
        accepted = sum(sum(timing.accepted) for timing in record.timings)
        parts.append(f"{accepted / drafted:.0%} of {count(drafted)} drafted tokens accepted")
    if record.outcome.label != "ok":
        parts.append(record.outcome.message)
    parts += [
        duration(record.wall_ns) if record.wall_ns else "",
        *(f"NOTE {remark}" for remark in remarks(record)),
    ]
    return ", ".join(filter(None, parts))


def frontier_line(found: Frontier) -> str:
    """One combination and its frontier, with how the next one up ends."""
    config = found.config
    experts = "" if config.n_expert_used is None else f"{config.n_expert_used} experts, "
    what = (
        f"{experts}KV {config.type_k}, flash_attn {config.flash_attn}, n_ubatch {config.n_ubatch}"
    )
    if found.n_ctx is None:
        return f"{what}: none runs ({found.failed}: {found.reason})"
    guess = "" if found.predicted_n_ctx is None else f", predicted {count(found.predicted_n_ctx)}"
    probes = "probe" if found.n_probes == 1 else "probes"
    answer = f"{what}: {count(found.n_ctx)} runs full ({found.n_probes} {probes}{guess})"
    if found.reached_limit:
        return f"{answer}; nothing larger was tried"
    if found.loads_and_aborts:
        at = f"after {count(found.n_filled)} tokens" if found.n_filled else "in the first prompt"
        return f"{answer}; {count(found.failed_n_ctx)} loads and aborts {at}"
    return f"{answer}; {count(found.failed_n_ctx)} does not load ({found.failed})"


def frontier_json(found: Frontier) -> dict[str, Any]:
    """The same for programs; `n_ctx` None where none runs."""
    knobs = ("n_expert_used", "type_k", "type_v", "flash_attn", "n_ubatch", "n_cpu_moe")
    return {knob: getattr(found.config, knob) for knob in knobs} | {
        "n_ctx": found.n_ctx,
        "predicted_n_ctx": found.predicted_n_ctx,
        "n_probes": found.n_probes,
        "reached_limit": found.reached_limit,
        "failed": found.failed,
        "failed_n_ctx": found.failed_n_ctx,
        "n_filled": found.n_filled,
    }


def write_frontiers(found: Sequence[Frontier], folder: Path, *, model: str, bench: Bench) -> Path:
    """Write the folder's frontier.md: a line per combination; its path."""
    cards = ", ".join(card["name"] for card in bench.environment.gpus) or "the CPU"
    lines = [f"- {escape_markdown(frontier_line(each))}" for each in found]
    path = folder / "frontier.md"
    heading = f"# How long a context of {escape_markdown(model)} runs on {escape_markdown(cards)}"
    return write_file(
        path, "\n".join([heading, "", *lines, ""]), otherwise="name another folder with --out"
    )
