"""Predicted against published rates, cross-validated, beside what other estimators use.

    python -m bench.peers.speed DIR

DIR holds speed*.jsonl, rows of tables of speeds. Each card, each model, and each model on its card,
is left out in turn and predicted by a fit that never saw it. Beside it on the same rows: bandwidth
/ size x 0.55 (llmfit's rule) and the plain roofline. Doubted rows are not scored. Cards and models
weigh by their rows; in brackets each machine counts once.
"""

import math
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median

import numpy as np
from bench.train.defaults import speed_tables
from bench.train.held_out import LEFT_OUT, card_of, model_of, nested_coverage, unseen_errors
from bench.train.learn import fits_without, held_out_errors, learn
from bench.train.public_rows import public_observations

from oomph.calibrate.observations import SpeedObservation
from oomph.calibrate.parameters import Parameters
from oomph.calibrate.speed_fit import NOISE_SD, solve_rates
from oomph.errors import OomphError
from oomph.estimate.card import CardTraits

GROUPS = ("decode dense", "decode MoE", "prefill dense", "prefill MoE")
BARS = {
    "decode dense": (5, 13),
    "decode MoE": (9, 25),
    "prefill dense": (7, 20),
    "prefill MoE": (15, 35),
}
CALIBRATION_ROWS = 3
DRAWS = 8
"""How often three rows of a machine are drawn at random."""
RECENT = 2026.2
"""Rows of builds since then are of 2026's models and kernels."""
DEEP = 1024
ALIKE = 0.1
"""Answers to one question that are further apart, as a logarithm, are of two builds."""

Fits = dict[str, dict[str, dict[str, float]]]
"""By what was left out, each card's coefficients."""
Scored = tuple[SpeedObservation, float]
"""A row and ln(predicted / measured)."""


def main(folder: Path) -> None:
    """Print the tables for the rows in `folder`."""
    rows = public_observations(*speed_tables(folder))
    dated = rows.observations
    print(f"{rows.n_rows} rows, {len(dated)} comparable; left out:")
    for reason, count in rows.left_out.items():
        print(f"  {count:5} {reason}")
    print(
        "\n|predicted / measured - 1| in %, median / 90th percentile over rows [each machine once]"
    )
    print(f"{'':34}" + "".join(f"{group:>26}" for group in GROUPS))
    print(
        f"{'bar for a card never seen':34}"
        + "".join(f"{f'{a} / {b}':>26}" for a, b in BARS.values())
    )
    whole = learn(dated)
    without_card, without_model = (
        fits_without(dated, card_of, whole),
        fits_without(dated, model_of, whole),
    )
    unseen = unseen_errors(dated, whole)
    scored = list(zip(dated, unseen["card"], strict=True))
    _row("card left out", scored)
    _row("  rows of 2026", ((o, error) for o, error in scored if o.question.build_year >= RECENT))
    _row("model on a card left out", zip(dated, unseen["model on card"], strict=True))
    _row("model left out", zip(dated, held_out_errors(dated, model_of, without_model), strict=True))
    _row("  whose kernels others show", zip(dated, unseen["model"], strict=True))
    _row(f"card left out, {CALIBRATION_ROWS} rows of it", _calibrated(dated, without_card, card_of))
    _row(
        f"card left out, {CALIBRATION_ROWS} of its machine",
        _calibrated(dated, without_card, machine_of),
    )
    _row("bandwidth / size x 0.55", ((o, _rule_of_thumb(o)) for o in dated))
    _row("plain roofline", ((o, _roofline(o)) for o in dated))
    print("\n90 % intervals, their widths chosen without what is left out:")
    print(
        "share of rows covered, mean of the shares [of each label], median half width as a factor"
    )
    for name in LEFT_OUT:
        cells = [nested_coverage(dated, unseen, group, name) for group in GROUPS]
        texts = (
            f"{c.rows:.0%} [{c.labels:.0%}] x/÷ {math.exp(c.width):.2f}" if c else "-"
            for c in cells
        )
        print(f"{name + ' left out':34}" + "".join(f"{text:>26}" for text in texts))
    print(f"\nslope of decode against depth, median error: {_slopes(dated, without_card)}")
    print(
        "MoE prefill after one MoE row of the machine at the same n_ubatch: "
        f"{_one_row(dated, without_card)}"
    )
    print("\nthe same thing measured again elsewhere (card, model, test, flash attention):")
    for group in GROUPS:
        print("  ", group, _repeats(dated, group))


def _row(title: str, scored: Iterable[Scored]) -> None:
    kept = [
        (o, abs(math.expm1(error)))
        for o, error in scored
        if math.isfinite(error) and not o.is_doubted
    ]
    cells = []
    for group in GROUPS:
        found = [(o, size) for o, size in kept if o.group.startswith(group)]
        sizes = [size for _, size in found]
        each = Counter(machine_of(o) for o, _ in found)
        once = [1 / each[machine_of(o)] for o, _ in found]
        cells.append(f"{_two(sizes)} [{_two(sizes, once)}]" if sizes else "-")
    print(f"{title:34}" + "".join(f"{cell:>26}" for cell in cells), flush=True)


def _two(sizes: Sequence[float], weights: Sequence[float] | None = None) -> str:
    """Median and 90th percentile in %."""
    low, high = np.quantile(sizes, (0.5, 0.9), weights=weights, method="inverted_cdf")
    return f"{100 * low:.1f} / {100 * high:.1f}"


def machine_of(observation: SpeedObservation) -> str:
    """A card in one host, as far as a table tells: whoever published it measured one."""
    return f"{observation.card} {observation.source}"


def _calibrated(
    observations: Sequence[SpeedObservation], fits: Fits, by: Callable[[SpeedObservation], str]
) -> list[Scored]:
    """Rows predicted after three others with the same label, drawn at random, moved the card's own
    effects."""
    draw = random.Random(1)
    scored: list[Scored] = []
    alike: dict[str, list[SpeedObservation]] = {}
    for o in observations:
        alike.setdefault(by(o), []).append(o)
    for rows in alike.values():
        for _ in range(DRAWS if len(rows) > CALIBRATION_ROWS else 0):
            chosen = draw.sample(rows, CALIBRATION_ROWS)
            values = _values_after(chosen, fits)
            scored += [(o, o.log_error(values)) for o in rows if o not in chosen]
    return scored


def _values_after(chosen: Sequence[SpeedObservation], fits: Fits) -> dict[str, float]:
    """The coefficients without the card, and its own effects from these rows of it."""
    card = chosen[0].card
    values = fits[card][card]
    own = Parameters(values, (), (card,))
    noise = dict.fromkeys(("prefill", "decode"), NOISE_SD)
    return {**values, **own.own(solve_rates(own, chosen, noise).parameters)[card]}


def _one_row(observations: Sequence[SpeedObservation], fits: Fits) -> str:
    """Errors of a machine's other MoE prompts at the n_ubatch of one of them, before and after it
    was taken in.

    Runs that answer one question twice, with two builds, and not alike are left out: they hold
    nothing to agree with.
    """
    runs: dict[tuple[str, int], list[SpeedObservation]] = {}
    for o in observations:
        if o.group.startswith("prefill MoE"):
            runs.setdefault((machine_of(o), o.question.config.n_ubatch), []).append(o)
    pairs = []
    for run in runs.values():
        if len(run) < 2 or max(_spreads(run), default=0.0) > ALIKE:
            continue
        found = [(o, chosen) for chosen in run for o in run if o is not chosen]
        after = {id(chosen): _values_after([chosen], fits) for chosen in run}
        pairs.append(
            (
                median(abs(math.expm1(o.log_error(fits[o.card][o.card]))) for o, _ in found),
                median(abs(math.expm1(o.log_error(after[id(chosen)]))) for o, chosen in found),
            )
        )
    before, later = (median(sizes) for sizes in zip(*pairs, strict=True))
    return f"{100 * before:.1f} % before, {100 * later:.1f} % after, medians of {len(pairs)} runs"


def _repeats(observations: Sequence[SpeedObservation], group: str) -> str:
    """How far rates of the same question are apart when another table, build or day gives them."""
    spreads = _spreads([o for o in observations if o.group == group])
    if not spreads:
        return "-"
    middle, most = math.exp(median(spreads)), math.exp(max(spreads))
    return (
        f"x {middle:.2f} between extremes (median), x {most:.2f} at most, {len(spreads)} questions"
    )


def _spreads(observations: Sequence[SpeedObservation]) -> list[float]:
    """ln(largest / smallest) of each question that has more than one answer."""
    alike: dict[tuple[object, ...], list[float]] = {}
    for o in observations:
        config = o.question.config
        key = (o.card, o.model, o.test, o.n_prompt, o.n_depth, config.n_ubatch, o.question.flash)
        alike.setdefault(key, []).append(o.tokens_per_s)
    return [math.log(max(rates) / min(rates)) for rates in alike.values() if len(rates) > 1]


def _slopes(observations: Sequence[SpeedObservation], fits: Fits) -> str:
    """Seconds a token gains from the shallowest to the deepest row of a run, predicted against
    measured."""
    runs: dict[tuple[object, ...], list[SpeedObservation]] = {}
    for o in observations:
        if o.test == "decode":
            key = (o.card, o.model, o.source, o.question.flash, o.question.config.n_ubatch)
            runs.setdefault(key, []).append(o)
    errors = []
    for run in runs.values():
        shallow, deep = min(run, key=lambda o: o.n_depth), max(run, key=lambda o: o.n_depth)
        values = fits[deep.card][deep.card]
        gained = 1 / deep.tokens_per_s - 1 / shallow.tokens_per_s
        if deep.n_depth - shallow.n_depth > DEEP and gained > 0:
            errors.append(
                abs(
                    (deep.seconds_per_token(values) - shallow.seconds_per_token(values)) / gained
                    - 1
                )
            )
    return (
        f"{100 * median(errors):.0f} % over {len(errors)} runs" if errors else "no run with depth"
    )


def _card(observation: SpeedObservation) -> CardTraits:
    assert observation.question.card is not None, "public rows are of cards"
    return observation.question.card


def _rule_of_thumb(observation: SpeedObservation) -> float:
    if observation.test == "prefill":
        return math.nan
    rate = (
        0.55
        * _card(observation).bandwidth_bytes_per_s
        / observation.question.on_card.weight_bytes(1)
    )
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
