"""What a card's first day is expected to bring: times, frontiers, ends of memory.

The measured side plans by it and cannot know it. Everything is of the coefficients that ship with
oomph: a calibration of the same card would know what is to be found out.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from oomph.advise.first_failure import first_failure
from oomph.advise.memory_map import without_context
from oomph.architectures.spec import ModelSpec
from oomph.calibrate.expected_memory import PHANTOM, Expectation
from oomph.calibrate.expected_time import ExpectedTime
from oomph.config import CONTEXT_STEP, RunConfig
from oomph.errors import UnknownNameError
from oomph.estimate.coefficients import default_coefficients
from oomph.estimate.estimator import Estimator
from oomph.gpus import GpuSpec, gpu
from oomph.measure.first_card.protocol import Step
from oomph.measure.first_card.visit import Provoked
from oomph.measure.frontier import Slack, filled_sweep
from oomph.measure.plan import Subject
from oomph.measure.point import Point
from oomph.measure.worker.ladder import depths_within
from oomph.units import MIB

WRITE_BYTES_PER_S: Final = 1.4e9
"""Random weights on 8 to 16 cores of a Sapphire Rapids Xeon: 1.32 to 1.54 GB/s."""
LOAD_BYTES_PER_S: Final = 4.6e9
"""From memory to the card, where a file was written a moment ago: 2.7 to 5.2 GB/s on an H200, the
larger the file the faster."""
PROCESS_S: Final = 1.0
"""A worker, its libraries and its CUDA context: 0.5 to 0.8 s there."""
CONTEXT_S: Final = 0.3
PHANTOM_TOKENS_PER_S: Final = 12_000
"""A phantom card computes nothing: this is llama.cpp's own work on one core of a shared server
(17,000 were seen)."""
UNKNOWN_POINT_S: Final = 30.0
PROBES, FULL_PROBES = 4, 2
"""A frontier takes about four probes where the prediction is good, and two of them run full: the
others end in the first prompt."""
STAGES: Final = {
    "weights": "oom_weights",
    "kv_cache": "oom_kv",
    "compute": "oom_compute",
    "run": "oom_runtime",
}


def described_card(
    name: str, capability: str | None, said: Callable[[], Mapping[str, Any] | None]
) -> GpuSpec:
    """The catalogue's card of that name; one that it lacks by what its driver said of it.

    `said` is asked only then, for `total_bytes` and `sm_count`; UnknownNameError where it is None.
    """
    try:
        return gpu(name)
    except UnknownNameError:
        facts = said()
        if facts is None:
            raise
        return gpu(f"{name}:{facts['total_bytes'] // MIB}:{capability}:{facts['sm_count']}")


class Foreseen:
    """Implements `measure.first_card.visit.Foresight` for a card of the catalogue, None where there
    is none; `backend` is the records' own word."""

    def __init__(self, gpu: GpuSpec | None, backend: str) -> None:
        self.gpu, self.backend = gpu, backend
        self._provoked: dict[tuple[str, str], tuple[Provoked, ...]] = {}

    def estimator(self, spec: ModelSpec, *, memory_bytes: int | None = None) -> Estimator:
        """The estimate as it was before the card was seen; a phantom has no CUDA context."""
        coefficients = default_coefficients()
        if self.backend == PHANTOM:
            coefficients = without_context(coefficients)
        return Estimator(spec, self.gpu, gpu_memory_bytes=memory_bytes, coefficients=coefficients)

    def seconds(self, step: Step, subject: Subject, *, is_there: bool) -> float:
        """Writing the weights, loads, and every point at the speed of its deepest stop."""
        spec = subject.spec
        writing = 0.0 if is_there else spec.n_bytes / WRITE_BYTES_PER_S
        load = PROCESS_S + (0.0 if self.backend == PHANTOM else spec.n_bytes / LOAD_BYTES_PER_S)
        if step.leave is not None:
            return writing + self._ballast_seconds(step, subject, load)
        points = step.points(n_devices=0 if self.gpu is None else 1)
        loads = len({point.load_key for point in points})
        return (
            writing
            + loads * load
            + sum(CONTEXT_S + self._point_seconds(spec, point) for point in points)
        )

    def slack(self, subject: Subject, usable_bytes: int) -> Slack | None:
        """What a setting leaves of so much memory; None for a card that no catalogue knows."""
        if self.gpu is None:
            return None
        return Expectation(subject.spec, [self.gpu], backend=self.backend).slack([usable_bytes])

    def provoked(self, step: Step, subject: Subject) -> Sequence[Provoked]:
        """For each stage the setting that most contexts run out at it with, and the middle one of
        these."""
        if self.gpu is None or step.leave is None:
            return ()
        key = step.name, subject.identity.header_sha256
        if key not in self._provoked:
            self._provoked[key] = tuple(self._provoke(step, subject, step.leave))
        return self._provoked[key]

    def _provoke(self, step: Step, subject: Subject, memory_bytes: int) -> Iterator[Provoked]:
        found: dict[str, list[list[RunConfig]]] = {}
        estimator = self.estimator(subject.spec, memory_bytes=memory_bytes)
        for config in step.configs("provoke"):
            by_stage: dict[str, list[RunConfig]] = {}
            for tried in _contexts(config, step.limit):
                memory = estimator.predict(tried, longest=False).memory
                short = first_failure(estimator, tried, memory)
                if short and short.stage in STAGES:
                    by_stage.setdefault(STAGES[short.stage], []).append(tried)
            for stage, configs in by_stage.items():
                found.setdefault(stage, []).append(configs)
        widest = {stage: max(runs, key=len) for stage, runs in found.items()}
        for stage in STAGES.values():
            if stage in widest:  # the weights are too large at any context
                middle = 0 if stage == "oom_weights" else len(widest[stage]) // 2
                yield Provoked(stage=stage, config=widest[stage][middle])

    def frontier(self, step: Step, subject: Subject, config: RunConfig) -> int | None:
        """The largest context that is predicted to run full in what the step leaves; None where
        nothing is known."""
        if self.gpu is None or step.leave is None:
            return None
        knobs = {knob: value for knob, value in config.to_dict().items() if knob != "n_ctx"}
        limit = step.limit // CONTEXT_STEP * CONTEXT_STEP
        return self.estimator(subject.spec, memory_bytes=step.leave).max_context(
            limit=limit, **knobs
        )

    def _ballast_seconds(self, step: Step, subject: Subject, load: float) -> float:
        seconds = 3 * PROCESS_S
        for provoked in self.provoked(step, subject):
            runs = provoked.stage == "oom_runtime"
            seconds += load + (self._fill_seconds(subject.spec, provoked.config) if runs else 0.0)
        for config in step.configs("frontier"):
            longest = self.frontier(step, subject, config) or CONTEXT_STEP
            fill = self._fill_seconds(subject.spec, config.with_(n_ctx=longest))
            seconds += PROBES * load + FULL_PROBES * fill
        return seconds

    def _fill_seconds(self, spec: ModelSpec, config: RunConfig) -> float:
        (point,) = filled_sweep(config, "").points()
        return self._point_seconds(spec, point)

    def _point_seconds(self, spec: ModelSpec, point: Point) -> float:
        workload = point.workload
        if self.backend == PHANTOM:
            stops = depths_within(
                point.config.n_ctx_seq,
                workload.depths,
                n_prompt=workload.n_prompt,
                n_gen=workload.n_gen,
            )
            return (max(stops, default=0) + workload.n_prompt) / PHANTOM_TOKENS_PER_S
        if not (workload.n_prompt or workload.n_gen):
            return 0.0
        asked = ExpectedTime(spec, self.gpu, default_coefficients())
        if not workload.timing:
            once = workload.repetitions.model_copy(update={"least": 1, "most": 1})
            workload = workload.model_copy(update={"repetitions": once})
        seconds = asked(point.config, workload).point_s
        return UNKNOWN_POINT_S if seconds is None else seconds


def _contexts(config: RunConfig, limit: int) -> Iterator[RunConfig]:
    """Contexts up to `limit`, each an eighth longer than the one before."""
    n_ctx = CONTEXT_STEP
    while n_ctx <= limit:
        yield config.with_(n_ctx=n_ctx)
        n_ctx = max(n_ctx + CONTEXT_STEP, int(n_ctx * 1.125) // CONTEXT_STEP * CONTEXT_STEP)
