"""Predicted against published rates, cross-validated, beside what other estimators use.

    python bench/peers/speed.py DIR

DIR holds speed.jsonl, rows of llama-bench tables. Each card, and each model, is left out in turn and predicted by a
fit that never saw it: with the build's date, and without (as `oomph estimate` answers). Beside it on the same rows:
bandwidth / size x 0.55 (llmfit's rule) and the plain roofline.
"""

import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import numpy as np

from oomph.errors import OomphError
from oomph.estimate.card import Card
from oomph.fitting.defaults import card_of, model_of
from oomph.fitting.intervals import conformal_width, coverage
from oomph.fitting.learn import Learned, fits_without, held_out_errors, learn
from oomph.fitting.observations import Parameters, SpeedObservation
from oomph.fitting.public_rows import public_observations
from oomph.fitting.speed_fit import solve_own

GROUPS = ("decode dense", "decode MoE", "prefill dense", "prefill MoE")
BARS = {"decode dense": (5, 13), "decode MoE": (9, 25), "prefill dense": (7, 20), "prefill MoE": (15, 35)}
CALIBRATION_ROWS = 3
DEEP = 1024


def main(folder: Path) -> None:
    """Print the tables for the rows in `folder`."""
    path = folder / "speed.jsonl"
    rows = public_observations(path)
    dated, undated = rows.observations, public_observations(path, dated=False).observations
    print(f"{rows.n_rows} rows, {len(dated)} comparable; left out:")
    for reason, count in rows.left_out.items():
        print(f"  {count:5} {reason}")
    print("\n|predicted / measured - 1| in %, median / 90th percentile over rows")
    print(f"{'':34}" + "".join(f"{group:>17}" for group in GROUPS))
    print(f"{'bar for a card never seen':34}" + "".join(f"{f'{a} / {b}':>17}" for a, b in BARS.values()))
    whole = learn(dated)
    without_card = fits_without(dated, card_of, whole)
    unseen = held_out_errors(dated, card_of, without_card)
    _row("card left out", dated, unseen)
    _row("card left out, date not given", undated, held_out_errors(undated, card_of, without_card))
    without_model = fits_without(dated, model_of, whole)
    _row("model left out", dated, held_out_errors(dated, model_of, without_model))
    _row(f"card left out, {CALIBRATION_ROWS} rows of it", dated, _calibrated(dated, without_card, card_of))
    _row(f"card left out, {CALIBRATION_ROWS} of its machine", dated, _calibrated(dated, without_card, machine_of))
    _row("bandwidth / size x 0.55", dated, [_rule_of_thumb(o) for o in dated])
    _row("plain roofline", dated, [_roofline(o) for o in dated])
    print("\n90 % intervals from other cards: coverage of the card left out, half width as a factor")
    for group in GROUPS:
        print("  ", group, _interval(dated, unseen, group))
    print(f"\nslope of decode against depth, median error: {_slopes(dated, without_card)}")


def _row(title: str, observations: Sequence[SpeedObservation], errors: Sequence[float]) -> None:
    cells = []
    for group in GROUPS:
        sizes = sorted(
            abs(math.expm1(e)) for o, e in zip(observations, errors, strict=True)
            if o.group.startswith(group) and math.isfinite(e)
        )  # fmt: skip
        cells.append(f"{100 * median(sizes):.1f} / {100 * np.quantile(sizes, 0.9):.1f}" if sizes else "-")
    print(f"{title:34}" + "".join(f"{cell:>17}" for cell in cells), flush=True)


def machine_of(observation: SpeedObservation) -> str:
    """A card in one host, as far as a table tells: whoever published it measured one."""
    return f"{observation.card} {observation.source}"


def _calibrated(
    observations: Sequence[SpeedObservation], fits: dict[str, Learned], by: Callable[[SpeedObservation], str]
) -> list[float]:
    """Rows predicted after three others with the same label, evenly spread over them, moved the card's own effects."""
    errors = [math.nan] * len(observations)
    alike: dict[str, list[int]] = {}
    for i, o in enumerate(observations):
        alike.setdefault(by(o), []).append(i)
    for rows in alike.values():
        if len(rows) <= CALIBRATION_ROWS:
            continue
        chosen = {rows[round(k * (len(rows) - 1) / (CALIBRATION_ROWS - 1))] for k in range(CALIBRATION_ROWS)}
        card = observations[rows[0]].card
        own = Parameters(fits[card].values, (), (card,))
        solution = solve_own(own, [observations[i] for i in sorted(chosen)])
        values = {**fits[card].values, **own.own(solution.parameters)[card]}
        for i in set(rows) - chosen:
            errors[i] = observations[i].log_error(values)
    return errors


def _interval(observations: Sequence[SpeedObservation], errors: Sequence[float], group: str) -> str:
    by_card: dict[str, list[float]] = {}
    for o, error in zip(observations, errors, strict=True):
        if o.group.startswith(group):
            by_card.setdefault(o.card, []).append(error)
    covered, widths = [], []
    for card, own in by_card.items():
        others = [error for other, errors in by_card.items() if other != card for error in errors]
        if others:
            widths.append(conformal_width(others))
            covered += [coverage([error], widths[-1]) for error in own]
    return f"{100 * sum(covered) / len(covered):.0f} %, x/÷ {math.exp(median(widths)):.2f}" if covered else "-"


def _slopes(observations: Sequence[SpeedObservation], fits: dict[str, Learned]) -> str:
    """Seconds a token gains from the shallowest to the deepest row of a run, predicted against measured."""
    runs: dict[tuple[object, ...], list[SpeedObservation]] = {}
    for o in observations:
        if o.test == "decode":
            key = (o.card, o.model, o.source, o.question.flash, o.question.config.n_ubatch)
            runs.setdefault(key, []).append(o)
    errors = []
    for run in runs.values():
        shallow, deep = min(run, key=lambda o: o.n_depth), max(run, key=lambda o: o.n_depth)
        values = fits[deep.card].values
        gained = 1 / deep.tokens_per_s - 1 / shallow.tokens_per_s
        if deep.n_depth - shallow.n_depth > DEEP and gained > 0:
            errors.append(abs((deep.seconds_per_token(values) - shallow.seconds_per_token(values)) / gained - 1))
    return f"{100 * median(errors):.0f} % over {len(errors)} runs" if errors else "no run with depth"


def _card(observation: SpeedObservation) -> Card:
    assert observation.question.card is not None, "public rows are of cards"
    return observation.question.card


def _rule_of_thumb(observation: SpeedObservation) -> float:
    if observation.test == "prefill":
        return math.nan
    rate = 0.55 * _card(observation).bandwidth_bytes_per_s / observation.question.on_card.weight_bytes(1)
    return math.log(rate / observation.tokens_per_s)


def _roofline(observation: SpeedObservation) -> float:
    card, work = _card(observation), observation.question.on_card
    if observation.test == "decode":
        cache = sum(g.layers * g.cells(observation.n_depth) * g.row_bytes for g in work.attention)
        seconds = (work.weight_bytes(1) + cache) / card.bandwidth_bytes_per_s
    else:
        n = min(observation.n_prompt, observation.question.config.n_ubatch)
        flops = sum(work.dense_flops.values()) + sum(work.expert_flops.values())
        peak = max(card.int8_ops, card.fp16_flops)
        seconds = max(flops / peak, work.weight_bytes(n) / card.bandwidth_bytes_per_s / n)
    return -math.log(seconds * observation.tokens_per_s)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        main(Path(sys.argv[1]))
    except OomphError as error:
        sys.exit(f"speed: {error}")
