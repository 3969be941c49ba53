"""One model, perhaps one card: what a configuration takes, fits and reaches.

Every inverse question (the longest context, most experts, largest micro-batch, best cache type,
fewest layers off the card) is answered exactly against the forward model, `Estimator.fits`. That
needs care: the compute buffer is not monotone in any knob, because the allocator's fragmentation is
not. Short lists of candidates are therefore tried from the best on; the context is searched by
bisection and then proven.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Self

from oomph.architectures.rope import has_positions, native_context
from oomph.architectures.spec import ModelSpec
from oomph.config import CONTEXT_STEP, RunConfig
from oomph.errors import ConfigError
from oomph.estimate.build import build_of, build_year
from oomph.estimate.coefficients import Coefficients, default_coefficients
from oomph.estimate.compute import Setup
from oomph.estimate.likelihood import fit_probability, reserve_bytes
from oomph.estimate.machine import LINUX, Machine
from oomph.estimate.memory import MemoryModel
from oomph.estimate.overhead import overhead_bytes, pool_key
from oomph.estimate.prediction import (
    MemoryEstimate,
    Prediction,
    Refused,
    SpeedEstimate,
    is_card,
)
from oomph.estimate.speed import (
    SpeedQuestion,
    check_depth,
    predict_speed,
    speed_question,
    spilled_share,
)
from oomph.estimate.work import Work, forward_work, work_key
from oomph.gpus import GpuSpec
from oomph.gpus import gpu as find_gpu
from oomph.units import count, mib

LONGEST_CONTEXT: Final = 1 << 20
"""How far a largest context is looked for, unless the model was trained for more: llama.cpp has no
limit of its own."""

MOST_TRIED: Final = 1024
"""Contexts beyond the bisected one that are tried; more are possible only where a cache takes next
to nothing."""

UBATCH_STEP: Final = 32

MTP_NOTE: Final = (
    "the file has layers for multi-token prediction (MTP), and the speed is of decoding token by "
    "token: speculative decoding with them is not modelled"
)

BEST_KV_TYPES: Final = ("f16", "q8_0", "q5_1", "q5_0", "q4_1", "iq4_nl", "q4_0")
"""Cache types from the truest to the smallest."""


def _untested_notes(speed: SpeedEstimate) -> Iterator[str]:
    if speed.untested:
        yield (
            f"no measured row has {', '.join(speed.untested)}: speed rests on formulas there, and "
            "its band is wider"
        )


def model_of(model: ModelSpec | str | Path) -> ModelSpec:
    """The facts of a model, read where a name, a file or a URL stands for them."""
    if isinstance(model, ModelSpec):
        return model
    if not isinstance(model, str | Path):
        raise ConfigError(
            f"an estimator is of a model, not of {type(model).__name__}: give a ModelSpec, or a "
            'file, a URL or a name as "qwen3-30b-a3b:Q4_K_M"'
        )
    from oomph.architectures.source import read_model

    return read_model(model)


def card_of(card: GpuSpec | str | None) -> GpuSpec | None:
    """The facts of a card, looked up where a name stands for them."""
    if card is None or isinstance(card, GpuSpec):
        return card
    if not isinstance(card, str):
        raise ConfigError(
            f"an estimator is of a card, not of {type(card).__name__}: give a GpuSpec, or a name "
            'as "RTX 3090"'
        )
    return find_gpu(card)


class Estimator:
    """Predicts for one model on one card: their facts, or what names them ("qwen3-30b-a3b:Q4_K_M",
    a file or a URL; "RTX 3090"). `gpu_memory_bytes`, of each card, goes before the memory of `gpu`.

    Without either, nothing is said of what fits; without `gpu` (or coefficients of a machine
    without one), nothing of speed. `coefficients` are a calibration's; None takes those that ship
    with the package. `build` is the number of an older llama.cpp (8829 for b8829); None is 0.5.0
    for memory, and for speed the newest of which any are known. `machine` is what is around the
    card: its system, a power limit, its RAM. With `unified_memory` what a card cannot hold is read
    over the bus, as GGML_CUDA_ENABLE_UNIFIED_MEMORY=1 and Windows' drivers have it: it loads,
    slowly. Without, what surely does not load has no speed.
    """

    def __init__(
        self,
        model: ModelSpec | str | Path,
        gpu: GpuSpec | str | None = None,
        *,
        gpu_memory_bytes: int | None = None,
        coefficients: Coefficients | None = None,
        build: int | None = None,
        unified_memory: bool = False,
        machine: Machine = LINUX,
    ) -> None:
        self.model, self.gpu = model_of(model), card_of(gpu)
        self.coefficients, self.machine = coefficients, machine
        self.unified_memory = unified_memory
        self.gpu_memory_bytes = gpu_memory_bytes or (self.gpu.memory_bytes if self.gpu else None)
        self._build, self._memory = build, MemoryModel(self.model, build_of(build))
        self._build_year = None if build is None else build_year(build)
        self._longest: dict[RunConfig, int] = {}
        self._overheads: dict[object, Mapping[str, int]] = {}
        self._works: dict[object, tuple[Work, Work]] = {}
        self._questions: dict[RunConfig, SpeedQuestion] = {}

    def predict(self, config: RunConfig, *, longest: bool = True) -> Prediction:
        """Memory, whether it fits, the longest context with the other knobs as they are, and speed.

        Without `longest`, `max_context` is None: its search takes as long as twenty estimates.
        """
        check_depth(config)
        memory = self.memory(config)
        knows_card = self.gpu_memory_bytes is not None and config.n_devices > 0
        fits = self.fits(config) if knows_card else None
        speed = self._speed(config, memory)
        return Prediction(
            model=self.model.name,
            config=config,
            memory=memory,
            refused=next((kind for kind, _ in self._refusals(config)), None),
            fits=fits,
            fit_probability=self._fit_probability(memory, config) if knows_card else None,
            max_context=self._max_context(config) if knows_card and longest else None,
            speed=None if isinstance(speed, str) else speed,
            speed_reason=speed if isinstance(speed, str) else None,
            warnings=(
                *memory.warnings,
                *self._beyond_training(config),
                *self._doubts(config, fits, speed),
            ),
        )

    def memory(self, config: RunConfig) -> MemoryEstimate:
        """What `config` takes on every device, with what llama.cpp prints nowhere (overhead)."""
        return self._with_overhead(self._memory.estimate(config), config)

    def speed(
        self, config: RunConfig, *, memory: MemoryEstimate | None = None
    ) -> SpeedEstimate | None:
        """`predict`'s speed alone; ConfigError for an `n_depth` beyond what a sequence holds.

        `memory` is the estimate of `config` (at whatever depth) where it was computed before.
        """
        check_depth(config)
        speed = self._speed(config, memory or self.memory(config))
        return None if isinstance(speed, str) else speed

    @property
    def has_exact_compute(self) -> bool:
        """Whether the architecture's graph is declared, so that the compute buffers are exact."""
        return self._memory.is_known

    def predict_many(self, configs: Iterable[RunConfig]) -> Iterator[Prediction]:
        """`predict` for each configuration; what they share is computed once."""
        return map(self.predict, configs)

    def _beyond_training(self, config: RunConfig) -> Iterator[str]:
        n_ctx = config.n_ctx_seq
        if (
            n_ctx <= self.model.n_ctx_train
            or config.rope_scaling is not None
            or not has_positions(self.model)
        ):
            return
        if n_ctx > (trained := native_context(self.model)):
            yield (
                f"n_ctx {count(n_ctx)} is beyond the {count(trained)} tokens that the model was "
                "trained for: it takes this memory, but needs RoPE scaling (YaRN) to make sense, "
                "and llama-server caps its slots"
            )

    def _doubts(
        self, config: RunConfig, fits: bool | None, speed: SpeedEstimate | str
    ) -> Iterator[str]:
        """What to know before believing a speed."""
        if isinstance(speed, str):
            return
        if self.unified_memory and not fits and fits is not None:
            yield (
                "it does not fit: the speed is with unified memory, which reads the rest over the "
                "bus"
            )
        elif fits is False:
            yield (
                "it is not predicted to fit, by less than is known of the overhead: the speed is "
                "what it would have"
            )
        yield from _untested_notes(speed)
        if self.model.integer("nextn_predict_layers", 0):
            yield MTP_NOTE

    def _speed(self, config: RunConfig, memory: MemoryEstimate) -> SpeedEstimate | str:
        """The speed, or the sentence that says why there is none."""
        if reason := self._no_speed(config, memory):
            return reason
        question = self.question(config)
        if self.unified_memory and self.gpu_memory_bytes is not None:
            spilled = spilled_share(memory, self.gpu_memory_bytes)
            question = replace(question, spilled_share=spilled)
        return predict_speed(question, self.coefficients or default_coefficients())

    def question(self, config: RunConfig) -> SpeedQuestion:
        """The facts that a speed of `config` follows from, all of it in memory; one object for
        equal knobs. Without a named card it is the host's."""
        if config not in self._questions:
            gpu = self.gpu if config.n_devices else None
            at = config if gpu else config.with_(n_devices=0)
            setup = self._memory.setup(at)
            key = work_key(setup)
            if key not in self._works:
                self._works[key] = forward_work(self.model, setup)
            self._questions[config] = speed_question(
                self.model,
                gpu,
                at,
                self._build_year,
                setup=setup,
                work=self._works[key],
                machine=self.machine,
            )
        return self._questions[config]

    def _no_speed(self, config: RunConfig, memory: MemoryEstimate) -> str | None:
        """Why nothing can be said of the speed: what llama.cpp refuses or surely cannot load has
        none."""
        if config.n_devices == 0 and self.coefficients is None:
            return "a CPU's speed is known once oomph calibrate has measured it"
        if config.n_devices and self.gpu is None:
            return "the speed depends on the card: name a GPU"
        for _, sentence in self._refusals(config):
            return sentence
        if self.unified_memory or self.gpu_memory_bytes is None:
            return None
        for name, device in memory.devices.items():
            certain = device.certain_bytes(exact_compute=memory.exact_compute)
            if is_card(name) and certain > self.gpu_memory_bytes:
                return (
                    f"it does not load: {name} would have to hold {mib(certain)} and has "
                    f"{mib(self.gpu_memory_bytes)}"
                )
        return None

    def _refusals(self, config: RunConfig) -> Iterator[tuple[Refused, str]]:
        return self._memory.refusals(config, self._memory.setup(config))

    def _overhead(self, config: RunConfig) -> Mapping[str, int]:
        """Bytes by card of what llama.cpp prints nowhere, never less for a longer context; none for
        an unnamed card."""
        key = pool_key(config)
        if key not in self._overheads:
            gpu, values = self.gpu, self.coefficients or default_coefficients()
            self._overheads[key] = {
                f"CUDA{i}": overhead_bytes(self.model, config, gpu, values, i)
                for i in range(config.n_devices)
                if gpu
            }
        return self._overheads[key]

    def _with_overhead(self, memory: MemoryEstimate, config: RunConfig) -> MemoryEstimate:
        overhead = self._overhead(config)
        devices = {
            name: replace(device, overhead_bytes=overhead.get(name, 0))
            for name, device in memory.devices.items()
        }
        return replace(memory, devices=devices)

    def changed(
        self,
        *,
        model: ModelSpec | None = None,
        gpu: GpuSpec | None = None,
        gpu_memory_bytes: int | None = None,
        coefficients: Coefficients | None = None,
    ) -> Self:
        """The same question with what is given in place of its own; another card comes with its own
        memory. What was computed of the same model is shared."""
        other = copy(self)
        other._longest, other._overheads, other._questions = {}, {}, {}
        if model is not None:
            other.model, other._works = model, {}
            other._memory = MemoryModel(model, build_of(self._build))
        if gpu is not None:
            other.gpu, other.gpu_memory_bytes = gpu, gpu.memory_bytes
        other.gpu_memory_bytes = gpu_memory_bytes or other.gpu_memory_bytes
        other.coefficients = coefficients or self.coefficients
        return other

    def cautious(self, probability: float) -> Self:
        """The same question with so much of each card left free that what fits does so with this
        probability.

        Itself where no card is named, whose CUDA context nothing is known of. What was computed is
        shared.
        """
        if self.gpu is None or self.gpu_memory_bytes is None:
            return self
        other = copy(self)
        kept_free = reserve_bytes(
            self.gpu, self.coefficients or default_coefficients(), probability
        )
        other.gpu_memory_bytes, other._longest = self.gpu_memory_bytes - kept_free, {}
        return other

    # --- what fits

    def fits(self, config: RunConfig) -> bool:
        """Whether llama.cpp runs `config` with every card's share within its memory.

        Raises ConfigError where no card's memory is known.
        """
        setup = self._memory.setup(config)
        if not self._has_room(config, setup, {}):  # spares the replay
            return False
        if any(self._refusals(config)):
            return False
        return self._has_room(config, setup, self._memory.compute(setup).bytes)

    def _has_room(self, config: RunConfig, setup: Setup, compute_bytes: Mapping[str, int]) -> bool:
        """Whether every card holds its weights, caches and overhead besides these bytes of compute
        buffers."""
        if self.gpu_memory_bytes is None:
            raise ConfigError("what fits depends on the card: name a GPU, or give its memory")
        parts = (*self._memory.fixed(setup).values(), self._overhead(config), compute_bytes)
        return all(
            sum(part.get(card, 0) for part in parts) <= self.gpu_memory_bytes
            for card in setup.placement.cards
        )

    def _fit_probability(self, memory: MemoryEstimate, config: RunConfig) -> float | None:
        """How likely every card holds its part; None where no card is named, so that its context is
        not known."""
        if self.gpu is None or self.gpu_memory_bytes is None:
            return None
        if any(self._refusals(config)):
            return 0.0
        values = self.coefficients or default_coefficients()
        return fit_probability(memory, self.gpu, self.gpu_memory_bytes, values)

    def max_context(self, *, limit: int | None = None, **knobs: Any) -> int:
        """The largest n_ctx, a multiple of 256, that fits with these knobs; 0 where not even 256
        does.

        `limit` is the most that is asked for; None is LONGEST_CONTEXT, or the trained context where
        that is longer. What a model makes of a context longer than it was trained for is another
        question than what fits.
        """
        return self._max_context(RunConfig().with_(**knobs), limit=limit)

    def _max_context(self, config: RunConfig, *, limit: int | None = None) -> int:
        key = config.with_(n_ctx=limit or max(LONGEST_CONTEXT, self.model.n_ctx_train))
        if key not in self._longest:
            steps = max(key.n_ctx // CONTEXT_STEP, 1)
            self._longest[key] = CONTEXT_STEP * self._search(config, steps)
        return self._longest[key]

    def _search(self, config: RunConfig, most: int) -> int:
        """The largest number of steps up to `most` whose context fits, by bisection and a proof.

        Bisection finds a context that fits while the next does not. Weights, caches and the live
        bytes of the compute buffer only grow with n_ctx; what may shrink is fragmentation, the rest
        of the compute buffer. So nothing fits beyond the point where the growing parts, the live
        bytes taken as they are just past the find, exceed the card; the few contexts up to there
        are tried one by one.
        """

        def at(steps: int) -> RunConfig:
            return config.with_(n_ctx=steps * CONTEXT_STEP)

        if self.fits(at(most)):
            return most
        found = bisect_left(range(1, most), True, key=lambda steps: not self.fits(at(steps)))
        beyond = at(found + 1)
        live = self._memory.compute(self._memory.setup(beyond)).live_bytes

        def is_full(steps: int) -> bool:
            return not self._has_room(at(steps), self._memory.setup(at(steps)), live)

        end = min(bisect_left(range(1, most), True, key=is_full), found + MOST_TRIED)
        return next((steps for steps in range(end, found, -1) if self.fits(at(steps))), found)

    # --- the other inverses: few candidates, tried from the best on

    def max_experts(self, **knobs: Any) -> int:
        """The most active experts that fit with these knobs; 0 where not even one does. Dense:
        ConfigError."""
        if not self.model.is_moe:
            raise ConfigError(
                f"{self.model.name} has no experts to choose; leave n_expert_used out"
            )
        most = self.expert_limit(RunConfig().with_(**knobs))
        return self._first_fit("n_expert_used", range(most, 0, -1), knobs) or 0

    def expert_limit(self, config: RunConfig) -> int:
        """The most active experts that llama.cpp's graph has room for, whatever the card."""
        counts = range(1, self.model.n_expert + 1)
        return bisect_left(
            counts, True, key=lambda n: self._memory.aborts(config.with_(n_expert_used=n))
        )

    def max_ubatch(self, **knobs: Any) -> int:
        """The largest n_ubatch up to n_batch, a multiple of 32, that fits with these knobs; 0 where
        none does."""
        most = RunConfig().with_(**knobs).n_batch // UBATCH_STEP
        return self._first_fit("n_ubatch", range(most * UBATCH_STEP, 0, -UBATCH_STEP), knobs) or 0

    def max_gpu_layers(self, **knobs: Any) -> int:
        """The most layers on the cards that fit with these knobs, the output counted as one: the
        fewest off them."""
        return self._first_fit("n_gpu_layers", range(self.model.n_layer + 1, 0, -1), knobs) or 0

    def min_cpu_moe(self, **knobs: Any) -> int | None:
        """The fewest layers whose experts must stay on the CPU to fit with these knobs; None where
        all do not help."""
        return self._first_fit("n_cpu_moe", range(self.model.n_layer + 1), knobs)

    def best_kv_type(self, **knobs: Any) -> str | None:
        """The truest type for both K and V that fits with these knobs, of `BEST_KV_TYPES`; None
        where none does."""
        configs = (
            RunConfig().with_(**knobs | {"type_k": kind, "type_v": kind}) for kind in BEST_KV_TYPES
        )
        return next((config.type_k for config in configs if self.fits(config)), None)

    def _first_fit(self, knob: str, values: Iterable[int], knobs: Mapping[str, Any]) -> int | None:
        config = RunConfig().with_(**knobs)
        return next((value for value in values if self.fits(config.with_(**{knob: value}))), None)
