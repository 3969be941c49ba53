"""One model, perhaps on cards: what a configuration takes, fits and reaches.

Every inverse question (the longest context, most experts, largest micro-batch, best cache type,
fewest layers off the card) is answered exactly against the forward model, `Estimator.fits`. That
needs care: the compute buffer is not monotone in any knob, because the allocator's fragmentation is
not. Short lists of candidates are therefore tried from the best on; the context is searched by
bisection and then proven.
"""

from bisect import bisect_left
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Self

from oomph.architectures.rope import has_positions, native_context
from oomph.architectures.spec import ModelSpec
from oomph.cards import Card, GivenCards, cards_of, run_cards
from oomph.config import CONTEXT_STEP, RunConfig
from oomph.errors import ConfigError
from oomph.estimate.adapters import adapters_of
from oomph.estimate.buffers import ComputeBuffers, Setup
from oomph.estimate.build import build_of, build_year
from oomph.estimate.coefficients import Coefficients, default_coefficients
from oomph.estimate.draft import MtpHead, draft_devices, head_of
from oomph.estimate.graph.placement import Placement
from oomph.estimate.host import HostFit, host_fit, runs
from oomph.estimate.host_memory import (
    host_memory,
    host_room,
    pool_bytes,
    program_bytes,
    shared_card,
)
from oomph.estimate.inputs import (
    INPUT_STEP,
    NO_DECODE,
    NO_TEXT,
    is_one_batch,
    longest_input,
    makes_text,
    result_bytes,
    with_input,
)
from oomph.estimate.likelihood import fit_probabilities, reserve_bytes
from oomph.estimate.machine import LINUX, Machine
from oomph.estimate.memory import MemoryModel
from oomph.estimate.overhead import loaded_context_bytes, overhead_bytes, pool_key
from oomph.estimate.prediction import (
    TARGET,
    CardFit,
    DeviceMemory,
    InputEstimate,
    MemoryEstimate,
    Prediction,
    Refused,
    SpeedEstimate,
    is_card,
)
from oomph.estimate.replayed import ReplayStore
from oomph.estimate.riders import Rider, device_memory, left_on, read_layers, together
from oomph.estimate.speed import (
    SpeedQuestion,
    check_depth,
    predict_input_speed,
    predict_speed,
    speed_question,
    spilled_share,
)
from oomph.estimate.trust import LESS_KNOWN, Architecture, Trust, trust_of
from oomph.estimate.work import ModelWork, Work, work_key
from oomph.gpus import GpuSpec
from oomph.speculation import MTP
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
DRAFT_NOTE: Final = "the speed is of decoding token by token: what drafting gains is not modelled"

NO_TENSOR_SPEED: Final = (
    "with split_mode tensor the cards compute each layer together, and what their exchange of "
    "results takes is not modelled"
)

BEST_KV_TYPES: Final = ("f16", "q8_0", "q5_1", "q5_0", "q4_1", "iq4_nl", "q4_0")
"""Cache types from the truest to the smallest."""


def _untested_notes(speed: SpeedEstimate) -> Iterator[str]:
    if speed.untested:
        yield (
            f"no measured row has {', '.join(speed.untested)}: speed rests on formulas there, and "
            "its band is wider"
        )


def _bytes_of(
    beside: Iterable[tuple[Rider, Mapping[str, Mapping[str, int]], ComputeBuffers]],
) -> Iterator[Mapping[str, int]]:
    """The bytes by device of all that rides along."""
    for _, fixed, buffers in beside:
        yield from fixed.values()
        yield buffers.bytes


def _with_host(
    devices: Mapping[str, DeviceMemory], name: str, n_bytes: int
) -> dict[str, DeviceMemory]:
    return {**devices, name: replace(devices[name], host_bytes=n_bytes)}


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


class Estimator:
    """Predicts for one model on cards: their facts, or what names them ("qwen3-30b-a3b:Q4_K_M",
    a file or a URL; "RTX 3090", "2x3090", or a list). One card stands for as many like it as a
    configuration has devices. `gpu_memory_bytes`, of each card, goes before its own.

    Without either, nothing is said of what fits; without `gpu` (or coefficients of a machine
    without one), nothing of speed. `coefficients` are a calibration's; None takes those that ship
    with the package. `build` is the number of another llama.cpp (8829 for b8829); None is 0.5.0
    for memory, and for speed the newest of which any are known; `learned_share` is by how much of a
    compute buffer `oomph verify` saw that build off. `machine` is what is around the
    card: its system, a power limit, its RAM. With `unified_memory` what a card cannot hold is read
    over the bus, as GGML_CUDA_ENABLE_UNIFIED_MEMORY=1 and Windows' drivers have it: it loads,
    slowly. Without, what surely does not load has no speed. `riders` are what is loaded beside the
    model, in the order in which the program loads them: every answer counts them. What is replayed
    is kept in the `store`, if there is one, for the next process.
    """

    def __init__(  # noqa: PLR0913 - each is a part of the question
        self,
        model: ModelSpec | str | Path,
        gpu: GivenCards = None,
        *,
        gpu_memory_bytes: int | None = None,
        coefficients: Coefficients | None = None,
        build: int | None = None,
        unified_memory: bool = False,
        machine: Machine = LINUX,
        riders: Sequence[Rider] = (),
        store: ReplayStore | None = None,
    ) -> None:
        self.model, self.riders = model_of(model), tuple(riders)
        self.store = store
        self.coefficients, self.machine = coefficients, machine
        self.unified_memory = unified_memory
        self.cards = self._left_cards(cards_of(gpu, gpu_memory_bytes))
        self._build = build
        self.learned_share: float | None = None
        self._head: MtpHead | None = None
        self._memory = self._memory_of(self.model, None)
        self._build_year = None if build is None else build_year(build)
        self._longest: dict[RunConfig, int] = {}
        self._overheads: dict[object, Mapping[str, int]] = {}
        self.work = ModelWork(self.model)
        self._works: dict[object, Mapping[Hashable, Work]] = {}
        self._questions: dict[RunConfig, SpeedQuestion] = {}

    def _memory_of(self, model: ModelSpec, like: MemoryModel | None) -> MemoryModel:
        """The memory of `model` on these cards, with the adapters that ride along and what a
        drafter reads of it; what is known of the graphs of one `like` it holds for it too."""
        return MemoryModel(
            model,
            build_of(self._build),
            self.cards,
            adapters=adapters_of(self.riders),
            read=read_layers(self.riders),
            like=like,
            store=self.store,
        )

    @property
    def build(self) -> int | None:
        """The number of the llama.cpp that is predicted; None is 0.5.0."""
        return self._build

    @property
    def gpu(self) -> GpuSpec | None:
        """The first card's data sheet; None where no card is named."""
        return self.cards[0].spec if self.cards else None

    @property
    def gpu_memory_bytes(self) -> int | None:
        """The first card's memory; None where none is known."""
        return self.cards[0].memory_bytes if self.cards else None

    def _left_cards(self, cards: Iterable[Card]) -> tuple[Card, ...]:
        """The cards without what each leaves to others."""
        left = self.machine.reserve_bytes
        return tuple(
            self._loaded(replace(card, memory_bytes=max(card.memory_bytes - left, 1)))
            for card in cards
        )

    def _loaded(self, card: Card) -> Card:
        """The card with what llama.cpp finds free of it: all but the CUDA context, unless it is
        known."""
        if card.free_bytes is not None:
            return card
        values = self.coefficients or default_coefficients()
        taken = loaded_context_bytes(card.spec, values) if card.spec else card.context_bytes
        return replace(card, free_bytes=max(card.memory_bytes - taken, 1))

    def cards_in(self, config: RunConfig) -> dict[str, Card]:
        """The cards that `config` uses, by their devices' names; none where nothing is known of
        them. ConfigError where it asks for more than there are."""
        known = {card.device: card for card in run_cards(self.cards, config.n_devices)}
        drafting = {
            card.device: card for card in self.cards if card.device in draft_devices(config)
        }
        used = self._memory.placement(config).cards if known else ()
        return {name: known[name] for name in used} | drafting

    def room_bytes(self, config: RunConfig) -> dict[str, int]:
        """The memory of each card that `config` uses, by its device's name."""
        return {name: card.memory_bytes for name, card in self.cards_in(config).items()}

    def predict(self, config: RunConfig, *, longest: bool = True) -> Prediction:
        """Memory, whether it fits, the longest context with the other knobs as they are, and speed.

        Without `longest`, `max_context` is None: its search takes as long as twenty estimates.
        """
        check_depth(config)
        memory = self.memory(config)
        knows_card = bool(self.cards_in(config))
        host = self.host(config, memory=memory)
        fits = self.fits(config) if knows_card else None
        speed = self._speed(config, memory)
        writes = self.makes_text(config)
        return Prediction(
            model=self.model.name,
            config=config,
            memory=memory,
            refused=next((kind for kind, _ in self._refusals(config)), None),
            fits=fits,
            fit_probability=self._fit_probability(memory, config) if knows_card else None,
            cards=self._card_fits(memory, config),
            host=host,
            max_context=self._max_context(config) if knows_card and longest and writes else None,
            speed=None if isinstance(speed, str) else speed,
            speed_reason=speed if isinstance(speed, str) else None,
            inputs=None if writes else self._inputs(config, memory, longest=knows_card and longest),
            warnings=(
                *memory.warnings,
                *self._beyond_training(config),
                *self._among_cards(config, speed),
                *self._doubts(config, fits, speed),
            ),
        )

    def memory(self, config: RunConfig) -> MemoryEstimate:
        """What `config` takes on every device, with what llama.cpp prints nowhere (overhead)."""
        setup = self._memory.setup(config)
        target = self._trusted(self._with_overhead(self._memory.estimate(config), config))
        compute = self._memory.compute(setup)
        beside: dict[str, Mapping[str, DeviceMemory]] = {}
        notes: list[str] = []
        for rider, fixed, buffers in self._beside(config, setup, compute.bytes):
            beside[rider.name] = device_memory(fixed, buffers.bytes)
            notes += rider.notes(config)
            target = self._with_rider(target, rider, buffers)
        target = replace(target, warnings=(*target.warnings, *notes))
        return self._pooled(together(target, beside), config)

    def kv_cache_bytes(self, config: RunConfig) -> int:
        """What the KV caches take on all cards together, as `memory` has it; nothing is replayed
        for it but where what rides along has a place only beside the compute buffers."""
        cards = self.cards_in(config)
        if self.aboard(config):
            devices = self.memory(config).devices
            return sum(devices[card].kv_cache_bytes for card in cards)
        caches = self._memory.fixed(self._memory.setup(config))["kv_cache_bytes"]
        return sum(caches.get(card, 0) for card in cards)

    def _pooled(self, memory: MemoryEstimate, config: RunConfig) -> MemoryEstimate:
        """`memory` with the host's part counted on the card whose memory is the host's."""
        shared = shared_card(self.cards_in(config))
        if shared is None:
            return memory
        n_bytes = pool_bytes(memory.devices, self._process_bytes(config))
        target = memory.contexts[TARGET]
        contexts = {**memory.contexts, TARGET: _with_host(target, shared, n_bytes)}
        devices = _with_host(memory.devices, shared, n_bytes)
        return replace(memory, devices=devices, contexts=contexts)

    def _process_bytes(self, config: RunConfig) -> int:
        """What llama-server itself takes of the host."""
        values = self.coefficients or default_coefficients()
        cuda = round(values["memory.host_cuda_bytes"]) if config.n_devices else 0
        return program_bytes(self.model.n_vocab, cuda)

    def host(self, config: RunConfig, *, memory: MemoryEstimate | None = None) -> HostFit:
        """What `config` takes of the host's memory, against the machine's RAM where it is known.

        `memory` is the estimate of `config` where it was computed before.
        """
        memory = memory or self.memory(config)
        cards = self.cards_in(config)
        shared = shared_card(cards)
        # only a completion has its prompt saved, or checkpoints (server-context.cpp)
        caches = {} if self.makes_text(config) else {"cache_ram_mib": 0, "ctx_checkpoints": 0}
        taken = host_memory(
            memory,
            config.with_(**caches),
            process_bytes=self._process_bytes(config),
            checkpoint_bytes=self._memory.checkpoint_bytes(config),
            is_integrated=shared is not None,
        )
        if shared is None:
            return host_fit(taken, host_room(self.machine))
        own = memory.devices[shared].total_bytes - memory.devices[shared].host_bytes
        return host_fit(taken, cards[shared].memory_bytes - own, is_shared=True)

    def _trusted(self, memory: MemoryEstimate) -> MemoryEstimate:
        """The estimate with what is known of the build; under one that is not, nothing is exact
        that llama.cpp has not counted itself."""
        if memory.trust.is_counted:
            return memory
        trust = self._trust_in(memory.trust.architecture, memory)
        is_exact = memory.exact_compute and (trust.build != "unknown" or trust.is_exact)
        return replace(memory, trust=trust, exact_compute=is_exact)

    def _with_rider(
        self, memory: MemoryEstimate, rider: Rider, buffers: ComputeBuffers
    ) -> MemoryEstimate:
        """The estimate as far as the graph of what rides along is known too."""
        known: Architecture = "composed" if rider.composes else "exact"
        if not buffers.is_exact:
            known = "general rule"
        if LESS_KNOWN[known] <= LESS_KNOWN[memory.trust.architecture]:
            return memory
        trust = replace(self._trust_in(known, memory), rider=rider.name)
        return replace(memory, trust=trust, exact_compute=False)

    def _trust_in(self, architecture: Architecture, memory: MemoryEstimate) -> Trust:
        """How far an estimate can be trusted whose architecture is known so well, of this build."""
        has_cards = any(map(is_card, memory.devices))
        return trust_of(architecture, self._build, has_cards=has_cards, learned=self.learned_share)

    def take_count(self, config: RunConfig, by_device: Mapping[str, int]) -> None:
        """Let llama.cpp's own count of the compute buffers, in bytes by device, stand for the
        replay under `config`."""
        self._memory.take_count(config, by_device)

    def aboard(self, config: RunConfig) -> tuple[Rider, ...]:
        """What rides along under `config`: its own head where that is asked for, and what is
        given."""
        if MTP not in config.spec_kinds or any(rider.name == "draft" for rider in self.riders):
            return self.riders
        if self._head is None:
            self._head = head_of(self.model, build_of(self._build))
        return self._head, *self.riders

    def _beside(
        self, config: RunConfig, setup: Setup, compute_bytes: Mapping[str, int]
    ) -> Iterator[tuple[Rider, Mapping[str, Mapping[str, int]], ComputeBuffers]]:
        """Each rider with its bytes, loaded one after the other once the target is there, whose
        compute buffers have these bytes."""
        riders = self.aboard(config)
        if not riders:
            return
        taken = [*self._memory.fixed(setup).values(), compute_bytes]
        for rider in riders:
            n_cards = max(config.n_devices, len(self.cards))
            cards = left_on(run_cards(self.cards, n_cards), taken)
            fixed = rider.fixed_bytes(config, setup, cards)
            buffers = rider.compute_buffers(config, setup, cards)
            taken += [*fixed.values(), buffers.bytes]
            yield rider, fixed, buffers

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

    def _among_cards(self, config: RunConfig, speed: SpeedEstimate | str) -> Iterator[str]:
        """What figures of several cards rest on."""
        cards = tuple(self.cards_in(config).values())
        if len(cards) < 2:
            return
        is_divided = any(config.tensor_split or ())
        if self._memory.placement(config).is_cut:
            if not is_divided and len({card.memory_bytes for card in cards}) > 1:
                yield (
                    "split_mode tensor cuts every layer into equal slices, whatever a card's "
                    "memory; tensor_split cuts them otherwise"
                )
        elif not is_divided:
            free = ", ".join(f"{card.device} {mib(card.free_bytes or 0)}" for card in cards)
            yield (
                f"llama.cpp divides the layers by free memory, taken to be {free}: another program "
                "on a card shifts them, tensor_split does not let it"
            )
        if not isinstance(speed, str):
            yield (
                "the speed is of the cards one after the other, each at its own rates; what passes "
                "between them is not counted"
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
        if config.spec_kinds:
            yield DRAFT_NOTE
        elif self.model.integer("nextn_predict_layers", 0):
            yield MTP_NOTE

    def _speed(self, config: RunConfig, memory: MemoryEstimate) -> SpeedEstimate | str:
        """The speed, or the sentence that says why there is none."""
        if reason := self._no_speed(config, memory):
            return reason
        if not self.makes_text(config):
            return NO_DECODE if config.embeddings else NO_TEXT
        question = self.question(config)
        if self.unified_memory and self.cards:
            question = self._spilled(question, config, memory)
        return predict_speed(question, self.coefficients or default_coefficients())

    def makes_text(self, config: RunConfig) -> bool:
        """Whether tokens are decoded: not for embeddings, and never by an encoder."""
        return makes_text(self._memory.setup(config))

    def is_one_batch(self, config: RunConfig) -> bool:
        """Whether what is read has to be one micro-batch: an input of most embeddings."""
        return not self.makes_text(config) and is_one_batch(self._memory.setup(config))

    def longest_input(self, config: RunConfig) -> int:
        """The most tokens of one input of an embedding, as llama-server takes them."""
        return longest_input(self.model, config, self._memory.setup(config))

    def max_input(self, config: RunConfig) -> int:
        """The longest input that fits, a multiple of 256 or all that the model was trained for, in
        one micro-batch where it has to be one, else in whatever context fits; 0 where none does."""
        if not is_one_batch(self._memory.setup(config)):
            return self._max_context(config, limit=self.model.n_ctx_train)
        most = self.model.n_ctx_train
        if self.fits(with_input(config, most)):
            return most
        steps = range(1, most // INPUT_STEP + 1)
        found = bisect_left(
            steps, True, key=lambda n: not self.fits(with_input(config, n * INPUT_STEP))
        )
        return found * INPUT_STEP

    def _inputs(self, config: RunConfig, memory: MemoryEstimate, *, longest: bool) -> InputEstimate:
        setup = self._memory.setup(config)
        n_tokens, most = self.longest_input(config), 0
        if longest and is_one_batch(setup) and n_tokens < self.model.n_ctx_train:
            most = self.max_input(config)
        speed, interval = None, None
        if not self._no_speed(config, memory):
            speed, interval = predict_input_speed(
                self.question(config),
                self.coefficients or default_coefficients(),
                n_tokens=n_tokens,
                is_causal=setup.hparams.is_causal,
            )
        return InputEstimate(
            n_tokens=n_tokens,
            max_tokens=most if most > n_tokens else None,
            is_one_batch=is_one_batch(setup),
            result_bytes=result_bytes(self.model, setup, setup.sizes.n_batch),
            tokens_per_s=speed,
            interval_90=interval,
        )

    def _spilled(
        self, question: SpeedQuestion, config: RunConfig, memory: MemoryEstimate
    ) -> SpeedQuestion:
        """The question with what each kind of card reads over the bus."""
        cards, further = self.cards_in(config), []
        for each in (question, *question.further):
            alike = {
                name: card.memory_bytes
                for name, card in cards.items()
                if each.card and card.spec and card.spec.name == each.card.name
            }
            further.append(replace(each, spilled_share=spilled_share(memory, alike)))
        return replace(further[0], further=tuple(further[1:]))

    def question(self, config: RunConfig) -> SpeedQuestion:
        """The facts that a speed of `config` follows from, all of it in memory; one object for
        equal knobs. Without a named card it is the host's."""
        if config not in self._questions:
            self._questions[config] = self._question(config)
        return self._questions[config]

    def _question(self, config: RunConfig) -> SpeedQuestion:
        """One share of the work for each kind of card, the first card's in front, and the host's
        beside it."""
        cards = self.cards_in(config)
        kinds = {name: card.spec for name, card in cards.items() if card.spec}
        at = config if kinds else config.with_(n_devices=0)
        setup = self._memory.setup(at)
        key = work_key(setup), tuple(kinds.items())
        if key not in self._works:
            # a lambda, for the page has no bound methods
            self._works[key] = self.work.by(setup, lambda device: kinds.get(device))
        works, logits = self._works[key], kinds.get(setup.placement.output)
        idle = Work(n_vocab=setup.hparams.n_vocab, n_embd=setup.hparams.n_embd)
        first, *others = dict.fromkeys(kinds.values()) or (None,)
        of_card = works.get(first, idle) if first else idle
        of_host = works.get(None, idle)
        if logits in others:  # which another card copies to the host
            of_card = replace(of_card, n_vocab=0)

        def of(gpu: GpuSpec | None, on_card: Work, on_host: Work) -> SpeedQuestion:
            return speed_question(
                self.model,
                gpu,
                at,
                self._build_year,
                setup=setup,
                work=(on_card, on_host),
                machine=self.machine,
            )

        further = tuple(
            of(gpu, work if gpu == logits else replace(work, n_vocab=0), idle)
            for gpu in others
            if (work := works.get(gpu))
        )
        return replace(of(first, of_card, of_host), further=further)

    def _no_speed(self, config: RunConfig, memory: MemoryEstimate) -> str | None:
        """Why nothing can be said of the speed: what llama.cpp refuses or surely cannot load has
        none."""
        if config.n_devices == 0 and self.coefficients is None:
            return "a CPU's speed is known once oomph calibrate has measured it"
        cards = self.cards_in(config)
        if config.n_devices and (not cards or any(not card.spec for card in cards.values())):
            return "the speed depends on the card: name a GPU"
        for _, sentence in self._refusals(config):
            return sentence
        if self._memory.placement(config).is_cut:
            return NO_TENSOR_SPEED
        for name, card in cards.items() if not self.unified_memory else ():
            certain = memory.devices[name].certain_bytes(exact_compute=memory.exact_compute)
            if certain > card.memory_bytes:
                return (
                    f"it does not load: {name} would have to hold {mib(certain)} and has "
                    f"{mib(card.memory_bytes)}"
                )
        return None

    def _refusals(self, config: RunConfig) -> Iterator[tuple[Refused, str]]:
        return self._memory.refusals(config, self._memory.setup(config))

    def _overhead(self, config: RunConfig) -> Mapping[str, int]:
        """Bytes by card of what llama.cpp prints nowhere, never less for a longer context."""
        cards = run_cards(self.cards, config.n_devices)
        key = pool_key(config)
        if key not in self._overheads:
            values = self.coefficients or default_coefficients()
            of_kind = {
                spec: overhead_bytes(self.model, config, spec, values)
                for spec in dict.fromkeys(card.spec for card in cards)
                if spec
            }
            self._overheads[key] = {
                card.device: of_kind[card.spec] if card.spec else card.context_bytes
                for card in cards
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
        gpu: GivenCards = None,
        gpu_memory_bytes: int | None = None,
        coefficients: Coefficients | None = None,
        riders: Sequence[Rider] | None = None,
    ) -> Self:
        """The same question with what is given in place of its own; other cards come with their own
        memory. What was computed of the same model is shared."""
        other = copy(self)
        other.riders = self.riders if riders is None else tuple(riders)
        other._longest, other._overheads, other._questions = {}, {}, {}
        other.coefficients = coefficients or self.coefficients
        bare = tuple(replace(card, free_bytes=None) for card in self.cards)
        if gpu is None and gpu_memory_bytes is None:
            other.cards = tuple(map(other._loaded, bare))
        else:
            other.cards = other._left_cards(cards_of(gpu or bare, gpu_memory_bytes))
        other._memory = self._memory.on(other.cards)
        if model is not None:
            other.model, other._works, other._head = model, {}, None
            other.work = ModelWork(model)
        is_other = adapters_of(other.riders) != adapters_of(self.riders)
        if model is not None or is_other or read_layers(other.riders) != read_layers(self.riders):
            other._memory = other._memory_of(other.model, self._memory)
        return other

    def with_room(self, memory_bytes: int) -> Self:
        """The same question with so much memory on each card, the layers divided as they are."""
        other = copy(self)
        other._longest, other._questions = {}, {}
        other.cards = tuple(replace(card, memory_bytes=memory_bytes) for card in self.cards)
        return other

    def whatever_host(self) -> Self:
        """The same question with nothing known of the host's RAM: of the cards alone."""
        other = copy(self)
        other.machine = replace(self.machine, ram_bytes=None)
        return other

    def cautious(self, probability: float) -> Self:
        """The same question with so much of each card left free that what fits does so with this
        probability.

        Itself where no card is named, whose CUDA context nothing is known of. What was computed is
        shared.
        """
        if self.gpu is None:
            return self
        other, values = copy(self), self.coefficients or default_coefficients()
        other.cards = tuple(
            replace(
                card,
                memory_bytes=card.memory_bytes - reserve_bytes(card.spec, values, probability),
            )
            if card.spec
            else card
            for card in self.cards
        )
        other._longest = {}
        return other

    def setup(self, config: RunConfig) -> Setup:
        """`config` resolved for the model: what its memory and its speed follow from."""
        return self._memory.setup(config)

    def placement(self, config: RunConfig) -> Placement:
        """Where the model lies under `config`."""
        return self._memory.placement(config)

    # --- what fits

    def fits(self, config: RunConfig) -> bool:
        """Whether llama.cpp runs `config` with every card's share within its memory, and the host's
        within its RAM where that is known.

        Raises ConfigError where no card's memory is known.
        """
        if not self.fits_cards(config):
            return False
        return self.machine.ram_bytes is None or runs(self.host(config).state)

    def fits_cards(self, config: RunConfig) -> bool:
        """Whether every card's share is within its memory, whatever the host has.

        Raises ConfigError where no card's memory is known.
        """
        setup = self._memory.setup(config)
        if not self._has_room(config, setup, ()):  # spares the replay
            return False
        if any(self._refusals(config)):
            return False
        compute = self._memory.compute(setup).bytes
        beside = self._beside(config, setup, compute)
        return self._has_room(config, setup, (compute, *_bytes_of(beside)))

    def _has_room(
        self, config: RunConfig, setup: Setup, besides: Iterable[Mapping[str, int]]
    ) -> bool:
        """Whether every card holds its weights, caches and overhead, and these bytes besides:
        compute buffers, and what rides along."""
        if not self.cards:
            raise ConfigError("what fits depends on the card: name a GPU, or give its memory")
        parts = [*self._memory.fixed(setup).values(), self._overhead(config), *besides]
        if (shared := shared_card(self.cards_in(config))) is not None:
            hosts = sum(n for part in parts for name, n in part.items() if not is_card(name))
            parts.append({shared: self._process_bytes(config) + hosts})
        return all(
            sum(part.get(name, 0) for part in parts) <= n_bytes
            for name, n_bytes in self.room_bytes(config).items()
        )

    def _fit_probability(self, memory: MemoryEstimate, config: RunConfig) -> float | None:
        """How likely every card holds its part; None where a card is not named, so that its context
        is not known."""
        cards = self.cards_in(config)
        if any(card.spec is None for card in cards.values()):
            return None
        if any(self._refusals(config)):
            return 0.0
        values = self.coefficients or default_coefficients()
        return min(fit_probabilities(memory, cards, values).values(), default=1.0)

    def _card_fits(self, memory: MemoryEstimate, config: RunConfig) -> tuple[CardFit, ...]:
        """Each card against its own memory."""
        cards, values = self.cards_in(config), self.coefficients or default_coefficients()
        likely = fit_probabilities(memory, cards, values)
        return tuple(
            CardFit(
                device=name,
                name=card.spec.name if card.spec else None,
                memory_bytes=card.memory_bytes,
                margin_bytes=card.memory_bytes - memory.devices[name].total_bytes,
                fit_probability=likely.get(name),
            )
            for name, card in cards.items()
        )

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
        bytes of the compute buffers, the riders' among them, only grow with n_ctx; what may shrink
        is fragmentation, the rest of the buffers. So nothing fits beyond the point where the
        growing parts, the live bytes taken as they are just past the find, exceed the card; nor
        beyond where they do with the live bytes of that context itself. The contexts up to there
        are tried one by one.
        """
        nothing: list[Mapping[str, int]] = [{}]

        def at(steps: int) -> RunConfig:
            return config.with_(n_ctx=steps * CONTEXT_STEP)

        def live(steps: int) -> list[Mapping[str, int]]:
            """The live bytes of the model's compute buffers and of the riders'."""
            config = at(steps)
            setup = self._memory.setup(config)
            compute = self._memory.compute(setup)
            beside = self._beside(config, setup, compute.bytes)
            return [compute.live_bytes, *(each.live_bytes for _, _, each in beside)]

        def is_full(steps: int, lived: list[Mapping[str, int]]) -> bool:
            config = at(steps)
            setup = self._memory.setup(config)
            beside = self._beside(config, setup, lived[0])
            fixed = [part for _, each, _ in beside for part in each.values()]
            return not self._has_room(config, setup, (*lived, *fixed))

        if is_full(1, nothing):
            return 0
        if self.fits(at(most)):
            return most
        found = bisect_left(range(1, most), True, key=lambda steps: not self.fits(at(steps)))
        if is_full(found + 1, nothing):
            return found
        least = live(found + 1)
        end = bisect_left(range(1, most), True, key=lambda steps: is_full(steps, least))
        end = min(end, found + MOST_TRIED)
        beyond = range(found + 1, end + 1)
        end = found + bisect_left(beyond, True, key=lambda steps: is_full(steps, live(steps)))
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
        return self._first_fit("n_gpu_layers", range(self.n_layer + 1, 0, -1), knobs) or 0

    @property
    def n_layer(self) -> int:
        """The layers that `n_gpu_layers` counts beside the output: the file's, as often as they are
        run."""
        return self._memory.hparams().n_layer_all

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
