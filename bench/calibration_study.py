"""Proves the calibration by simulation: machines whose coefficients are known, measured as the demo
measures.

    python bench/calibration_study.py [--machines 200] [--seed 1] [--out FILE.md] [--jobs 2]

Each machine's coefficients are drawn from the priors. It is measured by the demo's own sweep, with
noise and disturbances as real records of it have them, and with outliers that nobody flags; the
calibration then says what it thinks. Reported: bias, error and coverage of every coefficient, and
of predictions of depths and numbers of experts that were not measured. The bars: 90 % intervals
hold 87 to 93 % of new measurements, and unmeasured depths are off by 6 % at most in the median.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from math import exp, log
from pathlib import Path
from statistics import mean, median
from typing import Final, Literal

import numpy as np

from oomph.architectures.source import read_model
from oomph.architectures.spec import ModelSpec
from oomph.calibrate.observations import SpeedObservation
from oomph.calibrate.speed_fit import MACHINES_APART, SpeedFit, fit_speed
from oomph.config import RunConfig
from oomph.estimate.coefficients import default_coefficients, definitions
from oomph.estimate.posterior import prediction_sd
from oomph.estimate.speed import SpeedQuestion, speed_question
from oomph.measure.point import Point
from oomph.measure.sweep import Sweep
from oomph.measure.worker.ladder import depths_within
from oomph.models.demo import demo_model
from oomph.views.table import Cell, Table, render_markdown

DEMO: Final = Path(__file__).parent / "sweeps" / "demo.toml"

LOAD_SD: Final = 0.02
"""What all rates of one point are off together: where its pages and its threads came to lie."""
SAMPLE_SD: Final[Mapping[str, float]] = {"prefill": 0.02, "decode": 0.04}
"""What samples of a point scatter beside that, in the two-core records under results/."""
FLAGGED: Final = 0.05
FLAGGED_FACTOR: Final = (1.2, 10.0)
"""The share of points that other work slowed, which the records say, and by how much."""
OUTLIERS: Final = 0.03
OUTLIER_FACTOR: Final = (1.2, 3.0)
"""The share of samples that something slowed unseen, and by how much."""

NEW_DEPTHS: Final = (256, 768, 1536, 3072, 6144)
NEW_EXPERTS: Final = (3, 5)
INSIDE: Final = 1.645
"""Standard errors in half of a 90 % interval of a coefficient."""

Test = Literal["prefill", "decode"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One figure of one machine: its error as a logarithm, and whether its 90 % interval held
    it."""

    name: str
    error: float
    is_inside: bool
    moved: float = 1.0


@cache
def _model() -> ModelSpec:
    return read_model(demo_model())


@cache
def _design() -> tuple[SpeedObservation, ...]:
    """What the demo's sweep measures, each rate still 1."""
    points = [point for point in Sweep.load(DEMO).points(n_devices=0) if point.workload.timing]
    return tuple(o for number, point in enumerate(points) for o in _of_point(point, f"p{number}"))


def _of_point(point: Point, source: str) -> Iterator[SpeedObservation]:
    """The ladder's stops, and the chunks that fill the way up to them, which are samples of prefill
    too."""
    work = point.workload
    stops = depths_within(point.config.n_ctx, work.depths, n_prompt=work.n_prompt, n_gen=work.n_gen)
    make = partial(_observation, point.config, source, str(point.config.n_expert_used))
    for depth in stops:
        yield make("decode", 1, depth + work.n_gen / 2)
    for depth in sorted({*stops, *range(0, max(stops), work.n_prompt)}):
        yield make("prefill", work.n_prompt, depth)


def _observation(
    config: RunConfig, source: str, load: str, test: Test, n_prompt: int, n_depth: float
) -> SpeedObservation:
    return SpeedObservation(
        question=_question(config),
        test=test,
        n_prompt=n_prompt,
        n_depth=n_depth,
        tokens_per_s=1.0,
        source=source,
        load=load,
    )


@cache
def _question(config: RunConfig) -> SpeedQuestion:
    return speed_question(_model(), None, config.with_(n_devices=0))


@cache
def _unmeasured() -> tuple[SpeedObservation, ...]:
    """Depths between and numbers of experts beside those of the design."""
    found = []
    for test, n_prompt in (("decode", 1), ("prefill", 128)):
        for depth in NEW_DEPTHS:
            for experts in (2, 8):
                config = RunConfig(n_ctx=8704, n_expert_used=experts, n_devices=0)
                found.append(_observation(config, "new", "depth", test, n_prompt, depth))  # type: ignore[arg-type]
        for experts in NEW_EXPERTS:
            config = RunConfig(n_ctx=2560, n_expert_used=experts, n_devices=0)
            found.append(_observation(config, "new", "experts", test, n_prompt, 1024))  # type: ignore[arg-type]
    return tuple(found)


def study(seed: int) -> list[Held]:
    """One machine: drawn, measured, calibrated, asked."""
    rng = np.random.default_rng(seed)
    truth = _machine(rng)
    fit = fit_speed(None, list(_measured(truth, rng)), default_coefficients())
    return [*_coefficients(fit, truth), *_predictions(fit, truth, rng)]


def _machine(rng: np.random.Generator) -> dict[str, float]:
    """Coefficients drawn as the calibration believes machines to lie, inside their bounds."""
    values = dict(default_coefficients().values)
    for name, d in definitions().items():
        if name.startswith("host."):
            drawn = values[name] * exp(d.sd * MACHINES_APART * rng.normal())
            values[name] = min(max(drawn, d.lower), d.upper)
    return values


def _measured(truth: Mapping[str, float], rng: np.random.Generator) -> Iterator[SpeedObservation]:
    slowed: dict[str, tuple[float, bool]] = {}
    for o in _design():
        if o.source not in slowed:
            is_flagged = rng.random() < FLAGGED
            slow = rng.uniform(*FLAGGED_FACTOR) if is_flagged else exp(LOAD_SD * rng.normal())
            slowed[o.source] = slow, is_flagged
        slow, is_flagged = slowed[o.source]
        if not is_flagged:  # a calibration leaves out what its record calls disturbed
            yield replace(o, tokens_per_s=_rate(o, truth, rng) / slow)


def _rate(
    o: SpeedObservation,
    truth: Mapping[str, float],
    rng: np.random.Generator,
    *,
    clean: bool = False,
) -> float:
    slow = exp(SAMPLE_SD[o.test] * rng.normal())
    if not clean and rng.random() < OUTLIERS:
        slow *= rng.uniform(*OUTLIER_FACTOR)
    return 1 / (o.seconds_per_token(truth) * slow)


def _coefficients(fit: SpeedFit, truth: Mapping[str, float]) -> Iterator[Held]:
    errors = fit.solution.standard_errors
    for fitted, error in zip(fit.fitted, errors, strict=True):
        off = log(fitted.value / truth[fitted.name])
        yield Held(
            name=fitted.name,
            error=off,
            is_inside=bool(abs(off) <= INSIDE * error),
            moved=fitted.moved,
        )


def _predictions(
    fit: SpeedFit, truth: Mapping[str, float], rng: np.random.Generator
) -> Iterator[Held]:
    """New quiet measurements of what was not measured, beside the calibration's intervals."""
    values = {**default_coefficients().values, **fit.values}
    for o in _unmeasured():
        measured = _rate(o, truth, rng, clean=True) / exp(LOAD_SD * rng.normal())
        error = replace(o, tokens_per_s=measured).log_error(values)
        width = fit.posterior.scales[o.group] * prediction_sd(
            fit.posterior, o.test, values, o.seconds
        )
        yield Held(
            name=f"{o.test} at an unmeasured {_kind(o)}", error=error, is_inside=abs(error) <= width
        )


def _kind(o: SpeedObservation) -> str:
    return "depth" if o.load == "depth" else "number of experts"


def _table(found: Sequence[Held]) -> Table:
    by_name: dict[str, list[Held]] = defaultdict(list)
    for each in found:
        by_name[each.name].append(each)
    columns = (
        "what",
        "bias",
        "median error",
        "inside its 90 % interval",
        "prior variance gone",
        "n",
    )
    rows = tuple(
        (
            Cell(name),
            Cell(f"{median(e.error for e in own):+.1%}"),
            Cell(f"{median(abs(e.error) for e in own):.1%}"),
            Cell(f"{mean(e.is_inside for e in own):.0%}"),
            Cell(f"{mean(e.moved for e in own):.0%}" if name.startswith("host.") else ""),
            Cell(f"{len(own):,}"),
        )
        for name, own in by_name.items()
    )
    return Table(caption="Simulated machines", columns=columns, rows=rows)


def main() -> None:
    """Run the study and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--machines", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    seeds = range(asked.seed, asked.seed + asked.machines)
    with ProcessPoolExecutor(asked.jobs) as pool:
        found = [held for machine in pool.map(study, seeds, chunksize=4) for held in machine]
    text = (
        f"{asked.machines} machines, seeds {seeds[0]} to "
        f"{seeds[-1]}.\n\n{render_markdown(_table(found))}"
    )
    print(text)
    if asked.out:
        asked.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
