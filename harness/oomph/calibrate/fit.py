"""Fits one machine's own coefficients to its records, and says whether to believe them.

All coefficients on which the records depend are estimated together under their priors, which are
the shipped values: rates on the logarithm, memory in MiB. Disturbed samples take no part. The
result is an estimator with the new coefficients, and what a reader needs to judge it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from oomph.calibrate.comparison import comparable, speed_observations
from oomph.calibrate.health import Health, judge
from oomph.calibrate.left_out import Quantity
from oomph.calibrate.memory_fit import MemoryFit, fit_memory
from oomph.calibrate.next_measurement import advice
from oomph.calibrate.observations import SpeedObservation
from oomph.calibrate.residual_tests import trends
from oomph.calibrate.result import FitResult, FittedCoefficient
from oomph.calibrate.sample import Part, sampled
from oomph.calibrate.speed_fit import SpeedFit, fit_speed
from oomph.errors import FitError
from oomph.estimate.coefficients import Coefficients, default_coefficients
from oomph.estimate.estimator import Estimator
from oomph.records.disturbance import has_neighbours, is_disturbed
from oomph.records.schema import Record
from oomph.units import counted

LEAST_MEASUREMENTS: Final = 2


def fit(estimator: Estimator, records: Iterable[Record]) -> FitResult:
    """Calibrates `estimator` on its machine's records; FitError where they hold nothing to fit."""
    return fit_models([(estimator, list(records))])


def records_of(
    records: Sequence[Record], *, machine: str | None, build: str | None
) -> list[Record]:
    """Those of this machine and this llama.cpp commit (or the start of one), as far as they
    calibrate; FitError where there is none."""
    found = [
        record
        for record in records
        if (machine is None or _machine(record) == machine)
        and (build is None or _build(record).startswith(build))
    ]
    if not found:
        there = sorted(
            {f"{_machine(record)} with llama.cpp {_build(record)}" for record in records}
        )
        raise FitError(
            f"no record is of the machine and build asked for; there are {', '.join(there)}"
        )
    calibrating = [record for record in found if record.is_calibrating]
    if not calibrating:
        raise FitError(_why_none_calibrates(found))
    return calibrating


def _why_none_calibrates(records: Sequence[Record]) -> str:
    reasons = Counter(record.why_not_calibrating for record in records).most_common(3)
    told = "; ".join(f"of {counted(n, 'record')} {why}" for why, n in reasons)
    return f"no record can calibrate: {told}; measure on a CPU or by CUDA"


def fit_models(parts: Sequence[Part]) -> FitResult:
    """One calibration from the records of several models on one machine; for the first one's
    estimator.

    FitError where the records are of several machines, cards or builds, or hold too little.
    """
    estimator = parts[0][0]
    everybody = [record for _, records in parts for record in records]
    if everybody and not any(record.is_calibrating for record in everybody):
        raise FitError(_why_none_calibrates(everybody))
    _refuse_mixture([record for record in everybody if record.is_calibrating])
    usable = [(each, comparable(each, records)) for each, records in parts]
    kept, drawn = sampled(
        [(each, [record for record in records if not broken(record)]) for each, records in usable]
    )
    notes = [broken(record) for _, records in usable for record in records if broken(record)]
    base = estimator.coefficients or default_coefficients()
    everything = [
        o for each, records in kept for record in records for o in speed_observations(each, record)
    ]
    observations = [o for o in everything if not o.is_disturbed]
    memory = fit_memory(
        [(each, [r for r in records if not has_neighbours(r)]) for each, records in kept], base
    )
    n_measurements = len(observations) + (memory.n_measurements if memory else 0)
    if n_measurements < LEAST_MEASUREMENTS:
        raise FitError(_too_few(parts, usable, n_measurements, len(everything)))
    speed = (
        fit_speed(estimator.gpu, observations, base)
        if len(observations) >= LEAST_MEASUREMENTS
        else None
    )
    fits = [part for part in (speed, memory) if part]
    records = [record for _, own in kept for record in own]
    covered = _covered(records, observations)
    coefficients = _calibrated(estimator, base, speed=speed, memory=memory, covered=covered)
    fitted = tuple(fitted for part in fits for fitted in part.fitted)
    return FitResult(
        estimator=estimator.changed(coefficients=coefficients),
        coefficients=coefficients,
        fitted=fitted,
        known_together=tuple(sentence for part in fits for sentence in part.known_together),
        n_records=len(records),
        n_measurements=n_measurements,
        noise_sd=speed.posterior.noise_sd if speed else None,
        memory_error_bytes=memory.largest_error_bytes if memory else None,
        covered=covered,
        health=_health(
            speed, memory, fitted, records, everything, [note for note in [drawn, *notes] if note]
        ),
        advice=advice(speed, observations) if speed else (),
    )


def _refuse_mixture(records: Sequence[Record]) -> None:
    """FitError where records of several machines would be fitted as one."""
    for what, one in (("machines", _machine), ("llama.cpp builds", _build), ("cards", _cards)):
        found = Counter(map(one, records))
        if len(found) > 1:
            said = ", ".join(f"{name} ({counted(n, 'record')})" for name, n in found.most_common())
            raise FitError(
                f"these records are of {len(found)} {what}: {said}; each has rates of its own, so "
                "calibrate them apart (--machine and --build choose)"
            )


def _machine(record: Record) -> str:
    return record.environment.machine


def _build(record: Record) -> str:
    return record.environment.llama_cpp_commit or "unknown"


def _cards(record: Record) -> str:
    names = ", ".join(str(card.get("name")) for card in record.environment.gpus)
    return f"{record.environment.backend} {names}".strip()


def broken(record: Record) -> str | None:
    """Why a record cannot be fitted, naming it; None where it can."""
    for timing in record.timings:
        if not timing.samples_ns or min(timing.samples_ns) <= 0 or timing.n_tokens <= 0:
            what = (
                "no sample" if not timing.samples_ns else f"a sample of {min(timing.samples_ns)} ns"
            )
            return (
                f"record {record.record_id} ({record.label}) is left out: {timing.test} holds "
                f"{what}"
            )
    return None


def _health(
    speed: SpeedFit | None,
    memory: MemoryFit | None,
    fitted: Sequence[FittedCoefficient],
    records: Sequence[Record],
    everything: Sequence[SpeedObservation],
    notes: Sequence[str],
) -> Health:
    errors: dict[Quantity, Sequence[float]] = dict(memory.errors) if memory else {}
    if speed:
        pairs = list(zip(speed.observations, speed.solution.residuals, strict=True))
        errors["prefill"] = [float(r) for o, r in pairs if o.test == "prefill"]
        errors["decode"] = [float(r) for o, r in pairs if o.test == "decode"]
    disturbed = {o.source for o in everything if o.is_disturbed} | {
        r.record_id for r in records if is_disturbed(r)
    }
    n_rows = sum(o.is_disturbed for o in everything)
    return judge(
        in_sample=errors,
        left_out=[*(speed.left_out if speed else ()), *(memory.left_out if memory else ())],
        trends=trends(speed.observations, speed.solution.residuals.tolist()) if speed else (),
        at_bound=[each.name for each in fitted if each.at_bound],
        n_records=len(records),
        n_disturbed=len(disturbed),
        notes=[*notes, *([_left_aside(len(disturbed), n_rows)] if n_rows else [])],
    )


def _left_aside(n_records: int, n_rows: int) -> str:
    return f"{counted(n_rows, 'disturbed rate')} of {counted(n_records, 'record')} took no part"


def _calibrated(
    estimator: Estimator,
    base: Coefficients,
    *,
    speed: SpeedFit | None,
    memory: MemoryFit | None,
    covered: Mapping[str, tuple[float, float]],
) -> Coefficients:
    """`base` with the card's own effects under its name, and the machine's values in place of the
    defaults."""
    values = {**(speed.values if speed else {}), **(memory.values if memory else {})}
    of_host = {
        name: value for name, value in values.items() if name.startswith(("host.", "memory.host"))
    }
    of_card = {name: value for name, value in values.items() if name not in of_host}
    cards = dict(base.cards)
    if estimator.gpu:
        cards[estimator.gpu.name] = {**cards.get(estimator.gpu.name, {}), **of_card}
    return replace(
        base,
        values={**base.values, **of_host},
        cards=cards,
        covered=covered,
        interval_widths={**base.interval_widths, **(memory.widths if memory else {})},
        posterior=speed.posterior if speed else base.posterior,
    )


def _covered(
    records: Sequence[Record], observations: Sequence[SpeedObservation]
) -> dict[str, tuple[float, float]]:
    """The range of each quantity that the records span."""
    spans: dict[str, list[float]] = {"n_depth": [o.n_depth for o in observations]}
    for record in records:
        for name in ("n_ctx", "n_expert_used", "n_ubatch"):
            value = getattr(record.reported, name) or record.config.get(name)
            if value:
                spans.setdefault(name, []).append(float(value))
    return {name: (min(found), max(found)) for name, found in spans.items() if found}


def _too_few(
    given: Sequence[Part], usable: Sequence[Part], n_measurements: int, n_rows: int
) -> str:
    """Why nothing can be fitted, and what to do."""
    outcomes = sorted({record.outcome.label for _, records in given for record in records})
    if not outcomes:
        return "there is no record to fit; run a sweep first"
    if not any(records for _, records in usable):
        return (
            f"no record ended well with the model at hand (outcomes: {', '.join(outcomes)}), so "
            "no coefficient can be identified; measure a configuration that fits"
        )
    if n_rows >= LEAST_MEASUREMENTS:
        return (
            f"all {n_rows} rates were disturbed while they were measured; measure again on a "
            "quiet machine"
        )
    few = counted(n_measurements, "measurement")
    return f"{few} cannot identify any coefficient; measure prefill and decode at two depths"
