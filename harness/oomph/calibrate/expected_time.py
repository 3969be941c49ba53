"""How long a load and a point are expected to take: what timeouts are scaled by.

The measured side cannot know it, so it is handed in. Only what the estimator can speak for is said:
a run on a card of the catalogue, or on a host that was calibrated. Elsewhere the answer is None,
and a fixed limit holds.
"""

import math
from typing import Final

from oomph.architectures.spec import ModelSpec
from oomph.calibrate.store import newest_matching
from oomph.config import RunConfig
from oomph.errors import OomphError, UnknownNameError
from oomph.estimate.coefficients import Coefficients
from oomph.estimate.estimator import Estimator
from oomph.estimate.prediction import SpeedEstimate
from oomph.gpus import GpuSpec, gpu
from oomph.measure.bench import Bench
from oomph.measure.limits import ExpectedSeconds
from oomph.measure.targets import uses_host
from oomph.measure.tasks.families import FAMILIES
from oomph.measure.worker.ladder import depths_within
from oomph.measure.workload import Workload

LOAD_BYTES_PER_S: Final = 500e6
"""A SATA disk; the timeout's generosity covers a network folder that is twenty times slower."""


class ExpectedTime:
    """Seconds for `spec` on `gpu`, None for a machine without one; a function of configuration and
    workload.

    `coefficients` are a calibration's: without one nothing is said of what runs on the host.
    """

    def __init__(
        self, spec: ModelSpec, gpu: GpuSpec | None, coefficients: Coefficients | None = None
    ) -> None:
        self._spec, self._gpu, self._calibrated = spec, gpu, coefficients
        self._estimator = Estimator(spec, gpu, coefficients=coefficients)

    def __call__(self, config: RunConfig, workload: Workload) -> ExpectedSeconds:
        """What the point's load and the point itself are expected to take."""
        n_bytes = self._spec.file_bytes
        return ExpectedSeconds(
            load_s=n_bytes / LOAD_BYTES_PER_S if n_bytes else None,
            point_s=self._point_seconds(config, workload),
        )

    def _point_seconds(self, config: RunConfig, workload: Workload) -> float | None:
        """Every test at the speed of the deepest stop, which is the slowest; the way there at the
        mean of that and of an empty cache, as a prompt takes longer by the same for each cell."""
        stops = _stops(config, workload)
        speed = self._speed(config.with_(n_depth=min(stops[-1], config.deepest) if stops else 0))
        at_first = self._speed(config.with_(n_depth=0))
        if speed is None or at_first is None:
            return None
        token_s = (1 / at_first.prefill_tokens_per_s + 1 / speed.prefill_tokens_per_s) / 2
        prompt_s = workload.n_prompt * config.n_parallel / speed.prefill_tokens_per_s
        answer_s = workload.n_gen * config.n_parallel / speed.decode_tokens_per_s
        fill_s = (stops[-1] if stops else 0) * config.n_parallel * token_s
        timed_s = sum(_repeated(seconds, workload) for seconds in (prompt_s, answer_s)) * len(stops)
        asked_s = _n_asked(config, workload) / speed.prefill_tokens_per_s
        return fill_s + timed_s + asked_s + _tasks_seconds(config, workload, speed)

    def _speed(self, config: RunConfig) -> SpeedEstimate | None:
        on_host = self._gpu is None or config.n_devices == 0 or uses_host(config, self._spec)
        if on_host and self._calibrated is None:
            return None
        try:
            return self._estimator.speed(config)
        except OomphError:  # knobs that the model cannot have: running it will say so
            return None


def expected_time(spec: ModelSpec, bench: Bench) -> ExpectedTime:
    """On the bench's slowest card, or its host, with the newest calibration kept; a phantom card
    has no speed."""
    here = bench.environment
    try:
        cards = () if bench.phantom else [gpu(card.name) for card in bench.cards]
    except UnknownNameError:
        cards = ()
    slowest = min(cards, key=lambda card: card.bandwidth_bytes_per_s, default=None)
    kept = newest_matching(
        card=slowest.name if slowest else None,
        arch=spec.arch,
        machine=here.machine,
        commit=here.llama_cpp_commit,
    )
    speaks = kept is not None and (slowest is not None or here.backend == "cpu")
    return ExpectedTime(spec, slowest, kept.coefficients if speaks and kept else None)


def _stops(config: RunConfig, workload: Workload) -> list[int]:
    """The depths that the context can hold, ascending."""
    return depths_within(
        config.n_ctx_seq, workload.depths, n_prompt=workload.n_prompt, n_gen=workload.n_gen
    )


def _repeated(seconds: float, workload: Workload) -> float:
    """One test with its repetitions at the most."""
    rule = workload.repetitions
    if rule.budget_s is None:
        return seconds * rule.most
    return min(seconds * rule.most, max(seconds * rule.least, rule.budget_s + seconds))


def _tasks_seconds(config: RunConfig, workload: Workload, speed: SpeedEstimate) -> float:
    """Items of tasks, each a prompt and an answer, up to the time that is set for all."""
    if workload.tasks is None:
        return 0.0
    test, lengths = workload.tasks, workload.tasks.lengths_within(config.n_ctx_seq)
    n_read = sum(lengths) * len(test.families)
    n_written = sum(test.n_answer or FAMILIES[each].n_answer for each in test.families)
    prompts_s = n_read / speed.prefill_tokens_per_s
    answers_s = n_written * len(lengths) / speed.decode_tokens_per_s
    return min(test.n_items * (prompts_s + answers_s), test.budget_s or math.inf)


def _n_asked(config: RunConfig, workload: Workload) -> int:
    """Tokens of the texts that are scored or searched."""
    needle, text = workload.needle, workload.text
    searched = (
        needle.n_texts * (needle.n_tokens or config.n_ctx) * len(needle.depths) if needle else 0
    )
    return searched + (text.n_tokens if text else 0)
