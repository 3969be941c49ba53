"""One model on several machines or builds, side by side: a column and a colour each.

Records of one model are paired by their configuration; what only one machine measured stands with a
dash for the others. Nothing is averaged over machines.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from oomph.frozen import frozen
from oomph.records.grouping import Setting, SettingNames
from oomph.records.schema import Record
from oomph.records.summary import Rate, RecordSummary
from oomph.units import MIB, count, counted, rate
from oomph.views.figures import Picture
from oomph.views.plots_speed import KIND_NAMES, draw_rates, label_depths
from oomph.views.readings import cards_word, experts_word
from oomph.views.sections import Chapter, Section
from oomph.views.style import legend_above, new_figure, series_style, thousands
from oomph.views.table import Cell, Table, number, trim

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEFT_OUT: Final = frozenset({"n_threads", "n_devices", "load_mode"})
"""Knobs that follow the machine: they tell no two points apart."""

Place = tuple[Setting, int, int | None]
"""A configuration: setting, n_ctx, n_expert_used."""
Machines = Mapping[str, Sequence[RecordSummary]]
"""The records of each machine, by its name."""


@frozen
class Quantity:
    """What is compared: a name with its unit, and how a record tells it."""

    name: str
    of: Callable[[RecordSummary], Cell | None]


def machines_of(groups: Sequence[Sequence[RecordSummary]]) -> dict[str, Sequence[RecordSummary]]:
    """The groups of `by_subject` by names that tell them apart: machine and cards, and where these
    are equal the processor, the build, or a number."""
    levels: tuple[Callable[[Record], str], ...] = (
        _where,
        lambda record: f"{_where(record)}, {record.environment.cpu}",
        lambda record: f"{_where(record)}, llama.cpp {record.environment.llama_cpp_commit}",
    )
    for naming in levels:
        names = [naming(group[0].record) for group in groups]
        if len(set(names)) == len(names):
            return dict(zip(names, groups, strict=True))
    return {f"{_where(g[0].record)} ({n})": g for n, g in enumerate(groups, start=1)}


def _where(record: Record) -> str:
    environment = record.environment
    cards = cards_word(record)
    if record.origin:
        return f"{record.origin}, {cards}" if cards else record.origin
    if environment.backend == "phantom":
        return f"phantom {cards}"
    return cards or environment.machine


def across_chapter(model: str, machines: Machines) -> Chapter:
    """The chapter in front of those of one model's machines."""
    compared = [table for quantity in QUANTITIES if (table := _table(quantity, machines)).rows]
    n_shared = len(_shared(machines))
    return Chapter(
        title=model,
        question="How do the machines and builds compare?",
        headline=f"{model} on {len(machines)} machines or builds, "
        f"{counted(n_shared, 'configuration') if n_shared else 'no configuration'} measured on all "
        "of them",
        evidence=tuple(_sentences(machines)),
        tables=tuple(compared[:1]),
        pictures=tuple(_pictures(machines)),
        sections=tuple(
            Section(title=table.caption.partition(",")[0], tables=(table,))
            for table in compared[1:]
        ),
    )


def _place(summary: RecordSummary) -> Place:
    setting = tuple(each for each in summary.setting if each[0] not in LEFT_OUT)
    return setting, summary.n_ctx, summary.n_expert_used


def _shared(machines: Machines) -> set[Place]:
    places = [{_place(s) for s in own if s.succeeded} for own in machines.values()]
    return set.intersection(*places) if places else set()


def _sentences(machines: Machines) -> Iterator[str]:
    """What each machine is."""
    for name, own in machines.items():
        environment = own[0].record.environment
        facts = (
            environment.cpu,
            f"llama.cpp {environment.llama_cpp_commit}" if environment.llama_cpp_commit else None,
            own[-1].record.started_at[:10] if own[-1].record.started_at else None,
        )
        n_points = len(own)
        yield f"{name}: {n_points} points; {', '.join(str(fact) for fact in facts if fact)}."


def _table(quantity: Quantity, machines: Machines) -> Table:
    """One row a configuration, one column a machine."""
    found: dict[Place, dict[str, Cell]] = {}
    for name, own in machines.items():
        for summary in own:
            cell = quantity.of(summary)
            if cell is not None and summary.memory_limit_bytes is None:
                found.setdefault(_place(summary), {}).setdefault(name, cell)
    names = SettingNames({place[0]: None for place in found})
    ordered = sorted(found, key=lambda place: (names.of(place[0]), place[2] or 0, place[1]))
    # what all of them measured comes first
    ordered.sort(key=lambda place: -len(found[place]))
    rows = tuple(
        (
            Cell(names.of(place[0])),
            Cell(experts_word(place[2]), place[2]),
            number(place[1]),
            *(found[place].get(name, number(None)) for name in machines),
        )
        for place in ordered
    )
    columns = ("setting", "n_expert_used", "n_ctx", *machines)
    return trim(Table(caption=quantity.name, columns=columns, rows=rows))


def _peak(summary: RecordSummary) -> Cell | None:
    if not summary.succeeded or not summary.components:
        return None
    return number(sum(summary.components.values()), unit=MIB, digits=1)


def _first_rate(kind: str) -> Callable[[RecordSummary], Cell | None]:
    def of(summary: RecordSummary) -> Cell | None:
        rates = summary.rates(kind) if summary.succeeded else ()
        if not rates:
            return None
        mark = ", disturbed" if rates[0].is_disturbed else ""
        return Cell(f"{rate(rates[0].tokens_per_s)}{mark}", rates[0].tokens_per_s)

    return of


def _ending(summary: RecordSummary) -> Cell:
    return Cell(summary.record.outcome.label)


QUANTITIES: Final = (
    Quantity(name="Decode, tokens/s at the shallowest depth", of=_first_rate("tg")),
    Quantity(name="Prefill, tokens/s at the shallowest depth", of=_first_rate("pp")),
    Quantity(name="Memory, llama.cpp's buffers in MiB", of=_peak),
    Quantity(name="Outcome, of every configuration", of=_ending),
)


def speed_across(machines: Machines, kind: str) -> Iterator[Picture]:
    """`decode` or `prefill` by depth, a line for each machine; nothing where only one has rates."""
    short = {name: short for short, name in KIND_NAMES.items()}[kind]
    found = {name: _deepest(own, short) for name, own in machines.items()}
    series = {name: points for name, points in found.items() if points}
    if len(series) > 1:
        yield Picture(
            name=f"{kind}-across",
            figure=plot_rates_across(series, kind=short),
            caption=f"{kind.capitalize()} by depth, a line for each machine or build: each at the "
            "most active experts that it measured, in its deepest point. Hollow: disturbed.",
            alt="; ".join(
                f"{name}: {rate(points[0].tokens_per_s)} tokens/s at depth "
                f"{count(points[0].n_depth)}"
                for name, points in series.items()
            ),
        )


def _pictures(machines: Machines) -> Iterator[Picture]:
    """Rates by depth, and memory by context, at the most experts that each measured."""
    for kind in ("decode", "prefill"):
        yield from speed_across(machines, kind)
    every = {name: _sizes(own) for name, own in machines.items()}
    sizes = {name: points for name, points in every.items() if len(points) > 1}
    if len(sizes) > 1:
        yield Picture(
            name="memory-across",
            figure=plot_sizes_across(sizes),
            caption="llama.cpp's buffers by context, a line for each machine or build.",
            alt="; ".join(
                f"{name}: {count(points[-1][0])} tokens {points[-1][1] / MIB:,.0f} MiB"
                for name, points in sizes.items()
            ),
        )


def _deepest(own: Sequence[RecordSummary], kind: str) -> tuple[Rate, ...]:
    rated = [each for each in own if each.succeeded and each.rates(kind)]
    best = max(
        rated, key=lambda each: (each.n_expert_used or 0, len(each.rates(kind))), default=None
    )
    return best.rates(kind) if best else ()


def _sizes(own: Sequence[RecordSummary]) -> list[tuple[int, int]]:
    """Of the leading setting with the most experts: n_ctx and bytes."""
    ran = [each for each in own if each.succeeded and each.components]
    if not ran:
        return []
    lead = max(ran, key=lambda each: each.n_expert_used or 0)
    same = {
        each.n_ctx: sum(each.components.values())
        for each in ran
        if (each.setting, each.n_expert_used) == (lead.setting, lead.n_expert_used)
    }
    return sorted(same.items())


def plot_rates_across(series: Mapping[str, Sequence[Rate]], *, kind: str) -> "Figure":
    """Tokens per second by depth, a line for each machine."""
    figure, (axes,) = new_figure()
    for place, (name, points) in enumerate(series.items()):
        draw_rates(axes, points, place, name)
    label_depths(axes, [point for points in series.values() for point in points], kind)
    legend_above(axes, columns=1)
    return figure


def plot_sizes_across(series: Mapping[str, Sequence[tuple[int, int]]]) -> "Figure":
    """MiB by context, a line for each machine."""
    figure, (axes,) = new_figure()
    for place, (name, points) in enumerate(series.items()):
        axes.plot(
            [n_ctx for n_ctx, _ in points],
            [n_bytes / MIB for _, n_bytes in points],
            **series_style(place),
            label=name,
        )
    axes.set_xlabel("n_ctx")
    axes.set_ylabel("llama.cpp's buffers, MiB")
    axes.xaxis.set_major_formatter(thousands)
    axes.yaxis.set_major_formatter(thousands)
    axes.set_ylim(bottom=0)
    legend_above(axes, columns=1)
    return figure
