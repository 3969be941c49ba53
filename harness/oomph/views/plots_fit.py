"""Predicted against measured, a panel for each quantity: how far to believe the estimate.

In a panel above, each prediction against what was measured, with the predicted 90 % interval where
there is one; below, what is left over in per cent. Both axes are logarithmic where the values are
far apart, so that 100 MiB and 60 GiB are judged alike. What disturbed measurements say sets no
scale: they are hollow, and beyond the scale an arrow at its edge.
"""

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from oomph.frozen import frozen
from oomph.units import MIB, mib, share
from oomph.views.plots_memory import COMPONENT_NAMES
from oomph.views.style import (
    BLUE,
    COMPONENT_COLOURS,
    GRID,
    INK,
    ORANGE,
    WIDE_SPAN,
    head,
    new_panels,
    spread_axis,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from oomph.calibrate.comparison import Comparison

QUANTITY_NAMES: Final = {
    "total_vram_bytes": "VRAM",
    "host_bytes": "host memory",
    **{f"{component}_bytes": name for component, name in COMPONENT_NAMES.items()},
    "prefill_tokens_per_s": "prefill",
    "decode_tokens_per_s": "decode",
}

LEAST_RESIDUAL: Final = 0.5
"""Per cent that the residuals' axis reaches at least: less is no difference to a reader."""
PRINTED: Final = 0.01
"""MiB: llama.cpp prints two decimals, so nearer than that nobody can see."""
_COLOURS: Final = {
    "prefill_tokens_per_s": ORANGE,
    "decode_tokens_per_s": BLUE,
    "total_vram_bytes": BLUE,
    **{f"{component}_bytes": colour for component, colour in COMPONENT_COLOURS.items()},
}


@frozen
class Agreement:
    """How well predictions of one quantity met the measurements: fractions of the measured value,
    and the largest difference in the quantity's own unit.

    The `n_disturbed` measurements that something disturbed are in none of the other figures.
    """

    quantity: str
    n: int
    median_error: float
    worst_error: float
    worst_difference: float
    within_band: float | None
    n_disturbed: int = 0


def is_memory(comparison: "Comparison") -> bool:
    """Whether the quantity is in bytes (else it is tokens per second)."""
    return comparison.quantity.endswith("_bytes")


def agreements(comparisons: Sequence["Comparison"]) -> tuple[Agreement, ...]:
    """One for each quantity with a measured value, in the order of QUANTITY_NAMES, then by name."""
    order = list(QUANTITY_NAMES)
    quantities = sorted(
        {c.quantity for c in comparisons}, key=lambda q: (order.index(q) if q in order else 99, q)
    )
    return tuple(
        agreement for quantity in quantities if (agreement := _agreement(quantity, comparisons))
    )


def _agreement(quantity: str, comparisons: Sequence["Comparison"]) -> Agreement | None:
    everything = [c for c in comparisons if c.quantity == quantity and c.measured]
    own = [c for c in everything if not c.is_disturbed]
    if not own:
        return None
    errors = [abs(c.predicted - c.measured) / c.measured for c in own]
    banded = [
        c.lower <= c.measured <= c.upper for c in own if c.lower is not None and c.upper is not None
    ]
    return Agreement(
        quantity=quantity,
        n=len(own),
        median_error=median(errors),
        worst_error=max(errors),
        worst_difference=max(abs(c.predicted - c.measured) for c in own),
        within_band=sum(banded) / len(banded) if banded else None,
        n_disturbed=len(everything) - len(own),
    )


def plot_predicted_vs_measured(comparisons: Sequence["Comparison"]) -> "Figure":
    """A panel for each quantity: identity and intervals above, residuals in per cent below.

    Of a mixture of bytes and rates, those with the first one's unit are drawn. Raises ValueError
    for none at all.
    """
    shown = [c for c in comparisons if c.measured]
    if not shown:
        raise ValueError("nothing to plot: no record has both a prediction and a measurement")
    shown = [c for c in shown if is_memory(c) == is_memory(shown[0])]
    quantities = sorted(dict.fromkeys(c.quantity for c in shown), key=_rank)
    figure, panels = new_panels(len(quantities), height=3.2, ratios=(2.2, 1))
    for quantity, (above, below) in zip(quantities, panels, strict=True):
        own = sorted((c for c in shown if c.quantity == quantity), key=lambda c: c.measured)
        _panel(above, below, own)
    return figure


def _rank(quantity: str) -> tuple[int, str]:
    order = list(QUANTITY_NAMES)
    return order.index(quantity) if quantity in order else len(order), quantity


def _panel(above: "Axes", below: "Axes", own: Sequence["Comparison"]) -> None:
    """One quantity, sorted by what was measured."""
    quantity = own[0].quantity
    scale, unit = (MIB, "MiB") if is_memory(own[0]) else (1, "t/s")
    colour = _COLOURS.get(quantity, BLUE)
    values = [value / scale for c in own for value in (c.predicted, c.measured) if value > 0]
    ends = _ends(values)
    above.plot(ends, ends, color=GRID, linewidth=1, zorder=1)
    bands = [
        (c.measured / scale, max(c.lower, 0) / scale, c.upper / scale)
        for c in own
        if c.lower is not None and c.upper is not None
    ]
    if bands:
        above.vlines(*zip(*bands, strict=True), color=colour, linewidth=3, alpha=0.25)
    reach = _reach(own)
    below.set_ylim(-1.15 * reach, 1.15 * reach)
    for is_disturbed in (True, False):
        some = _apart([c for c in own if c.is_disturbed == is_disturbed])
        style = _mark(colour, is_disturbed)
        measured = [c.measured / scale for c in some]
        above.plot(measured, [c.predicted / scale for c in some], marker="o", **style)
        residuals = [_residual(c) for c in some]
        inside = [(at, r) for at, r in zip(measured, residuals, strict=True) if abs(r) <= reach]
        below.plot([at for at, _ in inside], [r for _, r in inside], marker="o", **style)
        for at, r in zip(measured, residuals, strict=True):
            if abs(r) > reach:
                edge = 1.06 * reach * (1 if r > 0 else -1)
                below.plot([at], [edge], marker="^" if r > 0 else "v", **style)
    spread_axis(above, "x", values, few=True)
    spread_axis(above, "y", values, few=True)
    above.set(xlim=ends, ylim=ends)
    below.axhline(0, color=INK, linewidth=0.8)
    name = QUANTITY_NAMES.get(quantity, quantity)
    head(above, name, agreement_words(own))
    above.set_ylabel(f"predicted, {unit}")
    below.set_ylabel("residual, %")
    below.set_xlabel(f"measured, {unit}")


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """Limits of both axes, so that identity is the diagonal; one value alone gets room about
    it."""
    low, high = min(values), max(values)
    if high >= WIDE_SPAN * low:
        margin = (high / low) ** 0.06
        return low / margin, high * margin
    pad = max(0.07 * (high - low), 0.02 * high)
    return low - pad, high + pad


def _apart(own: Sequence["Comparison"]) -> list["Comparison"]:
    """Those that are not drawn upon each other: of equal points one."""
    return list({(f"{c.measured:.5g}", f"{c.predicted:.5g}"): c for c in own}.values())


def _mark(colour: str, is_disturbed: bool) -> dict[str, Any]:
    """Hollow where something disturbed the measurement."""
    return {
        "linestyle": "none",
        "color": colour,
        "markersize": 4,
        "markerfacecolor": "none" if is_disturbed else colour,
        "markeredgewidth": 0.9,
        "alpha": 0.7 if is_disturbed else 0.9,
    }


def _residual(comparison: "Comparison") -> float:
    """In per cent of what was measured."""
    return 100 * (comparison.predicted / comparison.measured - 1)


def _reach(own: Sequence["Comparison"]) -> float:
    """How far the residuals' axis goes: to the largest of what was not disturbed."""
    quiet = [abs(_residual(c)) for c in own if not c.is_disturbed]
    return max(LEAST_RESIDUAL, 1.1 * max(quiet or [abs(_residual(c)) for c in own]))


def agreement_words(own: Sequence["Comparison"]) -> str:
    """What a panel says of its quantity: how many, how far off, how many inside the interval."""
    found = _agreement(own[0].quantity, own)
    n_disturbed = sum(c.is_disturbed for c in own)
    if found is None:
        return f"n = {len(own)}, all disturbed"
    lines = [f"n = {found.n}" + (f", {n_disturbed} disturbed (hollow)" if n_disturbed else "")]
    lines.append(_size_words(found, memory=is_memory(own[0])))
    if found.within_band is not None:
        lines.append(f"{share(found.within_band, 0)} in the 90 % interval")
    beyond = sum(abs(_residual(c)) > _reach(own) for c in own)
    if beyond:
        lines.append(f"{beyond} off the lower scale (arrows)")
    return "\n".join(lines)


def _size_words(found: Agreement, *, memory: bool) -> str:
    """How far off: small differences of memory in MiB, since 0.0 % tells nobody anything."""
    if memory and found.worst_difference <= PRINTED * MIB:
        return f"equal to {PRINTED:g} MiB"
    if memory and found.worst_error < LEAST_RESIDUAL / 100:
        return f"at most {mib(found.worst_difference, 2)} off"
    return f"median {share(found.median_error)}, worst {share(found.worst_error)}"
