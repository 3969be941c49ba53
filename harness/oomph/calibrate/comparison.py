"""Predictions beside measurements: one line per quantity of a record.

The only place, with the fit, where `estimate` and what was measured meet. Buffers are compared as
llama.cpp printed them, memory as the probes saw it, rates as the median of the raw samples; what a
record does not hold is left out.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping
from math import exp
from statistics import median
from typing import TYPE_CHECKING, Any, Final, Literal

from oomph.calibrate.observations import SpeedObservation
from oomph.config import KNOBS, LOAD_KNOBS, RunConfig
from oomph.estimate.coefficients import Coefficients, default_coefficients
from oomph.estimate.estimator import Estimator
from oomph.estimate.overhead import resident_bytes
from oomph.estimate.prediction import MemoryEstimate, Prediction, as_printed, is_card
from oomph.estimate.speed import interval_width
from oomph.frozen import frozen
from oomph.records.disturbance import counting_samples
from oomph.records.grouping import model_key
from oomph.units import MIB

if TYPE_CHECKING:
    from oomph.records.schema import Record, Timing


_BUFFERS: Final = {
    "weights_bytes": "model_mib",
    "kv_cache_bytes": "kv_cache_mib",
    "recurrent_bytes": "recurrent_mib",
    "compute_bytes": "compute_mib",
    "output_bytes": "output_mib",
}


@frozen
class Comparison:
    """One quantity of one record: bytes or tokens per second. `lower` and `upper` are the 90 %
    interval, if any.

    A disturbed one is shown and counts in no error.
    """

    record_id: str
    label: str
    quantity: str
    device: str
    n_depth: int | None
    predicted: float
    measured: float
    lower: float | None = None
    upper: float | None = None
    is_disturbed: bool = False


def compare(
    estimator: Estimator,
    records: "Iterable[Record]",
    predictions: Mapping[str, Prediction] | None = None,
) -> list[Comparison]:
    """Every quantity that a record of the estimator's model measured, beside its prediction;
    `predictions` by a record's id are the estimator's own, where they are there already."""
    predicted, known = _Predicted(estimator), predictions or {}
    return [
        line
        for record in comparable(estimator, records)
        for line in _lines(predicted, record, known.get(record.record_id))
    ]


def comparable(estimator: Estimator, records: "Iterable[Record]") -> "list[Record]":
    """The records that ended well, are of the estimator's model, by architecture and file size, and
    of a backend that is estimated."""
    model = estimator.model
    return [
        record
        for record in records
        if record.outcome.label == "ok"
        and record.is_calibrating
        and record.model.arch == model.arch
        and (model.file_bytes is None or record.model.file_bytes in (0, model.file_bytes))
    ]


def record_config(record: "Record") -> RunConfig:
    """The record's knobs, with flash attention as llama.cpp resolved it."""
    knobs = {key: value for key, value in record.config.items() if key in KNOBS}
    resolved = {"enabled": "on", "disabled": "off"}.get(record.reported.flash_attn or "")
    if resolved:
        knobs["flash_attn"] = resolved
    return RunConfig.from_mapping(_with_places(knobs, knobs.get("n_parallel", 1)))


def _with_places(knobs: Mapping[str, Any], n_parallel: int) -> dict[str, Any]:
    """`knobs` with a place for each sequence: older records may lack it, where the first decode
    failed or another tool did not say it."""
    return {**knobs, "n_seq_max": max(knobs.get("n_seq_max", 1), n_parallel)}


def load_of(record: "Record") -> str:
    """What was loaded for the record: its model with the knobs of a load; what one process loads
    errs together."""
    knobs = (f"{knob}={record.config.get(knob)}" for knob in LOAD_KNOBS)
    return " ".join((model_key(record.model), *knobs))


def speed_observations(
    estimator: Estimator, record: "Record", config: RunConfig | None = None
) -> list[SpeedObservation]:
    """The record's warm tests as observations: the median rate of each test at each depth;
    `config` is its `record_config`, where that is at hand.

    Samples that something disturbed are passed over; where there are no others the observation is a
    disturbed one. None of --split-mode tensor and of drafting, whose speeds are not modelled.
    """
    config = config or record_config(record)
    if config.split_mode == "tensor" or config.spec_kinds:
        return []
    gpu = estimator.gpu if config.n_devices else None
    tests: dict[tuple[str, int, int, int], list[Timing]] = defaultdict(list)
    for timing in record.timings:
        if timing.test.startswith(("pp", "tg")) and timing.samples_ns:
            tests[timing.test[:2], timing.n_tokens, timing.n_depth, timing.n_parallel].append(
                timing
            )
    questions = {
        n_parallel: estimator.question(_in_step(config, n_parallel))
        for n_parallel in dict.fromkeys(n_parallel for _, _, _, n_parallel in tests)
    }
    load, found = load_of(record) if tests else "", []
    for (kind, n_tokens, n_depth, n_parallel), timings in tests.items():
        samples, is_disturbed = counting_samples(record, timings)
        found.append(
            SpeedObservation(
                question=questions[n_parallel],
                test="prefill" if kind == "pp" else "decode",
                n_prompt=n_tokens,
                n_depth=n_depth if kind == "pp" else n_depth + n_tokens / 2,
                tokens_per_s=n_tokens * n_parallel * 1e9 / median(samples),
                card=gpu.name if gpu else "",
                model=estimator.model.name,
                source=record.record_id,
                label=record.label,
                load=load,
                is_disturbed=is_disturbed,
            )
        )
    return found


def _in_step(config: RunConfig, n_parallel: int) -> RunConfig:
    """The knobs with so many sequences in step, and a place for each."""
    if config.n_parallel == n_parallel:
        return config
    return config.with_(n_parallel=n_parallel, n_seq_max=max(config.n_seq_max, n_parallel))


def measured_host_bytes(record: "Record") -> int | None:
    """The worker's peak resident memory with the model loaded, None where no probe saw it.

    While weights go to a card the whole file is mapped, and what was copied is unmapped at the end:
    in the record of a load the last figure is the highest that counts.
    """
    on_card = any(is_card(device) for device in record.buffers.model_mib)
    is_load = on_card and record.conditions.context_index == 0
    return max(
        (
            s.last_bytes if is_load and s.last_bytes else s.peak_bytes
            for s in record.memory
            if s.quantity == "rss" and s.device == "host"
        ),
        default=None,
    )


def measured_vram_bytes(record: "Record") -> dict[str, int]:
    """The worker's peak on each card, by llama.cpp's device name."""
    return {
        s.device: s.peak_bytes for s in record.memory if s.quantity == "vram" and is_card(s.device)
    }


class _Predicted:
    """An estimator's predictions for many records, of which many ask the same."""

    def __init__(self, estimator: Estimator) -> None:
        self.estimator = estimator
        self.coefficients = estimator.coefficients or default_coefficients()
        self._memories: dict[RunConfig, MemoryEstimate] = {}
        self._speeds: dict[Hashable, tuple[float, float | None]] = {}

    def memory(self, config: RunConfig) -> MemoryEstimate:
        """What `config` takes."""
        if config not in self._memories:
            self._memories[config] = self.estimator.memory(config)
        return self._memories[config]

    def speed(self, observation: SpeedObservation) -> tuple[float, float | None]:
        """Tokens per second, and half the width of their 90 % interval, as a logarithm."""
        asked, coefficients = observation.asked, self.coefficients
        if asked not in self._speeds:
            values = coefficients.for_card(observation.card)
            width = interval_width(
                observation.question,
                coefficients,
                observation.test,
                n_prompt=observation.n_prompt,
                n_depth=observation.n_depth,
            )
            self._speeds[asked] = 1 / observation.seconds_per_token(values), width
        return self._speeds[asked]


def _lines(
    predicted: _Predicted, record: "Record", known: Prediction | None
) -> Iterator[Comparison]:
    config = known.config if known else record_config(record)
    memory = known.memory if known else predicted.memory(config)
    yield from _buffer_lines(record, memory)
    yield from _probe_lines(record, memory, predicted.coefficients)
    for observation in speed_observations(predicted.estimator, record, config):
        yield _speed_line(record, observation, *predicted.speed(observation))


def _buffer_lines(record: "Record", memory: MemoryEstimate) -> Iterator[Comparison]:
    """llama.cpp's own lines by device; those of host buffer types together, as the estimate has
    them."""
    for quantity, name in _BUFFERS.items():
        printed: dict[str, float] = defaultdict(float)
        for device, size_mib in record.buffer_mib(name, memory.contexts).items():
            printed[device if as_printed(memory.devices, device) else "CPU"] += size_mib * MIB
        for device, measured in printed.items():
            if predicted := as_printed(memory.devices, device):
                yield _line(record, quantity, device, getattr(predicted, quantity), measured)


def _probe_lines(
    record: "Record", memory: MemoryEstimate, coefficients: Coefficients
) -> Iterator[Comparison]:
    for device, measured in measured_vram_bytes(record).items():
        if device in memory.devices:
            width = coefficients.interval_widths.get("total_vram_bytes", {}).get("calibrated")
            yield _line(
                record,
                "total_vram_bytes",
                device,
                memory.devices[device].total_bytes,
                measured,
                width,
            )
    resident = measured_host_bytes(record)
    if resident is not None:
        width = coefficients.interval_widths.get("host_bytes", {}).get("calibrated")
        yield _line(
            record, "host_bytes", "host", resident_bytes(memory, coefficients), resident, width
        )


def _line(
    record: "Record",
    quantity: str,
    device: str,
    predicted: float,
    measured: float,
    width: float | None = None,
) -> Comparison:
    return Comparison(
        record_id=record.record_id,
        label=record.label,
        quantity=quantity,
        device=device,
        n_depth=None,
        predicted=predicted,
        measured=measured,
        lower=None if width is None else predicted - width,
        upper=None if width is None else predicted + width,
    )


def _speed_line(
    record: "Record", observation: SpeedObservation, predicted: float, width: float | None
) -> Comparison:
    quantity: Literal["prefill_tokens_per_s", "decode_tokens_per_s"] = (
        "prefill_tokens_per_s" if observation.test == "prefill" else "decode_tokens_per_s"
    )
    return Comparison(
        record_id=record.record_id,
        label=record.label,
        quantity=quantity,
        device=observation.card or "CPU",
        n_depth=int(observation.n_depth),
        predicted=predicted,
        measured=observation.tokens_per_s,
        lower=None if width is None else predicted * exp(-width),
        upper=None if width is None else predicted * exp(width),
        is_disturbed=observation.is_disturbed,
    )
