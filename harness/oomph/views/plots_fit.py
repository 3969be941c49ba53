"""Predicted against measured: how far to believe the estimate.

Above, each prediction against what was measured, with the predicted 90 % band; below, what is left
over in per cent. Both axes are logarithmic where the values are far apart, so that 100 MiB and 60
GiB are judged alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

from oomph.units import MIB
from oomph.views.plots_memory import COMPONENT_NAMES
from oomph.views.style import GRID, INK, MARKERS, SERIES, legend_above, new_figure, spread_axis

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How well predictions of one quantity met the measurements: fractions of the measured value.

    The `n_disturbed` measurements that something disturbed are in none of the other figures.
    """

    quantity: str
    n: int
    median_error: float
    worst_error: float
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
        within_band=sum(banded) / len(banded) if banded else None,
        n_disturbed=len(everything) - len(own),
    )


def plot_predicted_vs_measured(comparisons: Sequence["Comparison"]) -> "Figure":
    """Identity and bands above, residuals in per cent below.

    Of a mixture of bytes and rates, those with the first one's unit are drawn. Raises ValueError
    for none at all.
    """
    if not comparisons:
        raise ValueError("nothing to plot: no record has both a prediction and a measurement")
    comparisons = [c for c in comparisons if is_memory(c) == is_memory(comparisons[0])]
    figure, (above, below) = new_figure(height=4.4, rows=2, ratios=(2.4, 1))
    scale, unit = (MIB, "MiB") if is_memory(comparisons[0]) else (1, "tokens per second")
    quantities = list(dict.fromkeys(c.quantity for c in comparisons))
    for number, quantity in enumerate(quantities):
        own = sorted(
            (c for c in comparisons if c.quantity == quantity and c.measured),
            key=lambda c: c.measured,
        )
        colour, marker = SERIES[number % len(SERIES)], MARKERS[number % len(MARKERS)]
        name = QUANTITY_NAMES.get(quantity, quantity)
        bands = [
            (c.measured, c.lower, c.upper)
            for c in own
            if c.lower is not None and c.upper is not None
        ]
        for at, low, high in bands:
            above.plot(
                [at / scale] * 2,
                [max(low, 0) / scale, high / scale],
                color=colour,
                linewidth=3.5,
                alpha=0.3,
            )
        for is_disturbed, face in ((False, colour), (True, "none")):
            shown = [c for c in own if c.is_disturbed == is_disturbed]
            if not shown:
                continue
            measured = [c.measured / scale for c in shown]
            predicted = [c.predicted / scale for c in shown]
            residuals = [100 * (c.predicted / c.measured - 1) for c in shown]
            for axes, values, label in (
                (above, predicted, None if is_disturbed else name),
                (below, residuals, None),
            ):
                axes.plot(
                    measured,
                    values,
                    linestyle="none",
                    marker=marker,
                    color=colour,
                    markersize=4,
                    markerfacecolor=face,
                    label=label,
                )
    values = [
        value / scale for c in comparisons for value in (c.predicted, c.measured) if value > 0
    ]
    above.plot(
        [min(values), max(values)],
        [min(values), max(values)],
        color=GRID,
        linewidth=1,
        label="equal",
    )
    spread_axis(above, "x", values)
    spread_axis(above, "y", values)
    above.set_ylabel(f"predicted, {unit}")
    _keep_in_view(below, comparisons)
    below.axhline(0, color=INK, linewidth=0.8)
    below.set_ylabel("residual, %")
    hollow_words = "; hollow: disturbed" if any(c.is_disturbed for c in comparisons) else ""
    below.set_xlabel(f"measured, {unit}   (bars: predicted 90 % band{hollow_words})")
    legend_above(above)
    return figure


def _keep_in_view(axes: "Axes", comparisons: Sequence["Comparison"]) -> None:
    """Let what was not disturbed set the residuals' axis; what lies beyond is at the edge, not off
    the page."""
    quiet = [
        100 * (c.predicted / c.measured - 1)
        for c in comparisons
        if c.measured and not c.is_disturbed
    ]
    if quiet and len(quiet) < len(comparisons):
        margin = 0.1 * (max(quiet) - min(quiet)) + 1
        axes.set_ylim(min(quiet) - margin, max(quiet) + margin)
