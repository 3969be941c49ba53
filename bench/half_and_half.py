"""Closes the loop on one machine: calibrated on half of a sweep's points, the other half predicted.

    python bench/half_and_half.py RESULTS OUT

RESULTS is a results folder of one model, as `oomph sweep --out` writes it. OUT gets
half-and-half.md and a picture of the half that the calibration never saw, predicted against
measured, with the 90 % band of each prediction. Which points are in which half is drawn at random,
and drawn again for the table, so that no half is picked for its looks.
"""

import random
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median

from oomph.calibrate.comparison import Comparison, comparable, compare
from oomph.calibrate.fit import fit
from oomph.calibrate.recorded import estimator_for
from oomph.errors import OomphError
from oomph.estimate.estimator import Estimator
from oomph.records.schema import Record
from oomph.records.store import Store
from oomph.views.plots_fit import (
    QUANTITY_NAMES,
    Agreement,
    agreements,
    is_memory,
    plot_predicted_vs_measured,
)
from oomph.views.svg import write_figure
from oomph.views.table import Cell, Table, render_markdown

DRAWS = 20
PICTURE = "predicted-vs-measured"


def main(results: Path, out: Path) -> None:
    """Fit, predict and publish."""
    records = list(Store(results).records())
    if not records:
        raise OomphError(f"{results} holds no record; run a sweep into it first")
    estimator = estimator_for(records[0])
    usable = comparable(estimator, records)
    halves = [_other_half(estimator, usable, seed) for seed in range(DRAWS)]
    out.mkdir(parents=True, exist_ok=True)
    write_figure(
        plot_predicted_vs_measured([c for c in halves[0] if not is_memory(c)]),
        out / f"{PICTURE}.svg",
    )
    page = _page(usable, [agreements(half) for half in halves])
    (out / "half-and-half.md").write_text(page, encoding="utf-8")
    print(page)


def _other_half(estimator: Estimator, records: Sequence[Record], seed: int) -> list[Comparison]:
    """What was measured in one half beside what a calibration on the other predicts of it."""
    drawn = random.Random(seed).sample(list(records), len(records))
    middle = len(drawn) // 2
    return compare(fit(estimator, drawn[:middle]).estimator, drawn[middle:])


def _page(records: Sequence[Record], draws: Sequence[Sequence[Agreement]]) -> str:
    """The picture and a line for each quantity: over the draws, the median of each figure."""
    half = len(records) // 2
    environment = records[0].environment
    found: dict[str, list[Agreement]] = {}
    for draw in draws:
        for agreement in draw:
            found.setdefault(agreement.quantity, []).append(agreement)
    table = Table(
        caption="",
        columns=(
            "quantity",
            "measurements",
            "median error",
            "largest error",
            "within the 90 % band",
        ),
        rows=tuple(_row(quantity, alike) for quantity, alike in found.items()),
    )
    return f"""# Calibrated on one half, the other half predicted

{len(records)} points of {records[0].model.name} on {environment.cpu} ({environment.backend}):
{half} drawn at random calibrate, {len(records) - half} are predicted. The picture is of the first
draw, the figures are medians over {len(draws)} draws. Repeat it with
`python bench/half_and_half.py RESULTS OUT`.

![Tokens per second of points that the calibration never saw]({PICTURE}.svg)

{render_markdown(table)}
"""


def _row(quantity: str, alike: Sequence[Agreement]) -> tuple[Cell, ...]:
    bands = [agreement.within_band for agreement in alike if agreement.within_band is not None]
    return (
        Cell(QUANTITY_NAMES[quantity]),
        Cell(str(round(median(a.n for a in alike)))),
        Cell(f"{100 * median(a.median_error for a in alike):.1f} %"),
        Cell(f"{100 * median(a.worst_error for a in alike):.1f} %"),
        Cell(f"{100 * mean(bands):.0f} %" if bands else "exact, has none"),
    )


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
    except OomphError as error:
        sys.exit(f"half_and_half: {error}")
