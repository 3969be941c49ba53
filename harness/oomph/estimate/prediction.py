"""What an estimate says: bytes by device, tokens per second, and how sure."""

from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Final, Literal

from oomph.config import RunConfig
from oomph.estimate.host import HostFit
from oomph.estimate.trust import Trust
from oomph.foreign_text import visible
from oomph.frozen import frozen
from oomph.units import count, gib, likely, mib, rate

Refused = Literal[
    "split_mode", "sequences", "streams", "quantized_v", "flash_attn", "latent_types", "experts",
    "pooling",
]  # fmt: skip
"""What llama.cpp refuses whatever the card: a split among cards that it has not for this model,
more sequences than it serves, caches apart where all must share one, a quantized V without flash
attention, flash attention on a graph that fails with it, two cache types for latent attention, more
active experts than a graph holds, a mean of tokens that are not all results."""

_ALL_CARDS: Final = "Meta("
"""How llama.cpp's name for all cards as one begins."""
COMPONENTS: Final = {
    "weights_bytes": "weights",
    "kv_cache_bytes": "KV cache",
    "recurrent_bytes": "recurrent state",
    "compute_bytes": "compute buffer",
    "output_bytes": "output buffer",
    "overhead_bytes": "overhead",
    "host_bytes": "the host's, in the same memory",
}

TARGET: Final = "target"
"""The model itself among `MemoryEstimate.contexts`."""


@frozen
class DeviceMemory:
    """Bytes on one device: `weights + kv_cache + recurrent + compute + output + overhead + host`.

    `overhead_bytes` is what llama.cpp prints nowhere: CUDA context, cuBLAS workspace, the pool that
    grows in use. `host_bytes` is what the program and the host's devices take of a card whose
    memory is the host's own (Jetson, DGX Spark), 0 on any other.
    """

    weights_bytes: int = 0
    kv_cache_bytes: int = 0
    recurrent_bytes: int = 0
    compute_bytes: int = 0
    output_bytes: int = 0
    overhead_bytes: int = 0
    host_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        """The sum of the components."""
        return (
            self.weights_bytes
            + self.kv_cache_bytes
            + self.recurrent_bytes
            + self.compute_bytes
            + self.output_bytes
            + self.overhead_bytes
            + self.host_bytes
        )

    def certain_bytes(self, *, exact_compute: bool) -> int:
        """What llama.cpp allocates for certain: nothing of the overhead, and no compute buffer that
        is a guess."""
        return self.total_bytes - self.overhead_bytes - (0 if exact_compute else self.compute_bytes)


@frozen
class MemoryEstimate:
    """Memory by llama.cpp's device name (`CUDA0`…, `CUDA_Host`, `CPU`), everything counted;
    `contexts` are its parts by what takes them: "target" is the model itself, beside it what rides
    along ("mtp", "draft", "projector", "lora"). `exact_compute` is False where the graph of one is
    not known and its compute buffer follows the general transformer rule, and under a build that
    nothing is known of; `trust` says what is."""

    devices: Mapping[str, DeviceMemory]
    exact_compute: bool = True
    trust: Trust = field(default_factory=Trust)
    warnings: tuple[str, ...] = ()
    contexts: Mapping[str, Mapping[str, DeviceMemory]] = field(default_factory=dict)

    @property
    def total_vram_bytes(self) -> int:
        """The sum over the cards."""
        return sum(memory.total_bytes for name, memory in self.devices.items() if is_card(name))

    @property
    def riders(self) -> Mapping[str, Mapping[str, DeviceMemory]]:
        """The contexts but the target's own; empty where nothing rides along."""
        return {name: devices for name, devices in self.contexts.items() if name != TARGET}


@frozen
class SlotsSpeed:
    """All `n_slots` sequences decoding at once, each `n_depth` cells deep: tokens per second of all
    together."""

    n_slots: int
    n_depth: int
    decode_tokens_per_s: float
    decode_interval_90: tuple[float, float] | None = None


@frozen
class SpeedEstimate:
    """Tokens per second at the configuration's depth, with 90 % intervals and the term that binds.

    Decode is of the configuration's `n_parallel` sequences; `slots` is of all `n_seq_max`, None
    where there is but one. `untested` is what was asked and no measured row had, in words; the
    intervals are wider for it.
    """

    prefill_tokens_per_s: float
    decode_tokens_per_s: float
    prefill_interval_90: tuple[float, float] | None = None
    decode_interval_90: tuple[float, float] | None = None
    bound_by: str = ""
    slots: SlotsSpeed | None = None
    untested: tuple[str, ...] = ()


@frozen
class InputEstimate:
    """Inputs that embeddings or scores are made of: `n_tokens` is the longest that the
    configuration takes, `max_tokens` the longest that fits with another n_ubatch, None where no
    card was named or where another changes nothing; `is_one_batch` says that an input has to be one
    micro-batch. `result_bytes` is what the output buffer grows to with a full batch, each token of
    which is a result.

    Tokens per second are of inputs of `n_tokens`, None where nothing is known of the speed.
    """

    n_tokens: int
    max_tokens: int | None
    is_one_batch: bool
    result_bytes: int
    tokens_per_s: float | None = None
    interval_90: tuple[float, float] | None = None


@frozen
class CardFit:
    """One card against its own memory: `margin_bytes` is what it has left, negative what it is
    short of. `name` and `fit_probability` are None where only its memory is known."""

    device: str
    name: str | None
    memory_bytes: int
    margin_bytes: int
    fit_probability: float | None


@frozen
class Prediction:
    """The answer for one configuration. `fits` and `max_context` are None where no card was named;
    `cards` are those that it uses, each by itself, `host` is the memory beside them: what does not
    fit its RAM does not fit.

    `refused` is what llama.cpp would not run on any card, None where it would. `speed_reason` says
    why there is no `speed`, in one sentence; None where there is one. `inputs` are what embeddings
    are made of, None where text is written.
    """

    model: str
    config: RunConfig
    memory: MemoryEstimate
    host: HostFit
    refused: Refused | None = None
    fits: bool | None = None
    fit_probability: float | None = None
    cards: tuple[CardFit, ...] = ()
    max_context: int | None = None
    speed: SpeedEstimate | None = None
    speed_reason: str | None = None
    inputs: InputEstimate | None = None
    warnings: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        """The answer on a terminal, in GiB."""
        return "\n".join((self._title(), *self._devices(), *self._sentences()))

    def _repr_html_(self) -> str:
        """The answer in a notebook: a table in GiB, a row per component, a column per device."""
        import html

        devices = self.memory.devices
        head = "".join(f"<th>{html.escape(visible(name))}</th>" for name in devices)
        rows = [
            (label, [getattr(memory, name) for memory in devices.values()])
            for name, label in COMPONENTS.items()
        ]
        rows = [(label, sizes) for label, sizes in rows if any(sizes)]
        rows.append(("total", [memory.total_bytes for memory in devices.values()]))
        cells = ["".join(f"<td>{gib(n) if n else ''}</td>" for n in sizes) for _, sizes in rows]
        body = "".join(
            f"<tr><th>{label}</th>{row}</tr>" for (label, _), row in zip(rows, cells, strict=True)
        )
        said = "<br>".join(
            html.escape(visible(line)) for line in (self._title(), *self._sentences())
        )
        return f"<table><caption>{said}</caption><tr><th></th>{head}</tr>{body}</table>"

    def _title(self) -> str:
        experts = self.config.n_expert_used
        named = f", {experts} active experts" if experts else ""
        return f"{self.model}, n_ctx {count(self.config.n_ctx)}{named}"

    def _devices(self) -> Iterator[str]:
        for device, memory in self.memory.devices.items():
            parts = ((label, getattr(memory, name)) for name, label in COMPONENTS.items())
            told = " + ".join(f"{label} {gib(n_bytes)}" for label, n_bytes in parts if n_bytes)
            beside = "".join(
                f", of it {name} {gib(devices[device].total_bytes)}"
                for name, devices in self.memory.riders.items()
                if device in devices
            )
            yield f"{device}: {gib(memory.total_bytes)}" + (f" = {told}" if told else "") + beside

    def _sentences(self) -> Iterator[str]:
        if self.fits is not None:
            fits, probability = "fits" if self.fits else "does not fit", self.fit_probability
            yield fits if probability is None else f"{fits} (fitting is {likely(probability)})"
        if self.max_context is not None:
            yield f"largest n_ctx that fits: {count(self.max_context)}"
        if self.speed is not None:
            at = f"at depth {count(self.config.n_depth)}"
            for kind, per_second, interval in (
                ("prefill", self.speed.prefill_tokens_per_s, self.speed.prefill_interval_90),
                ("decode", self.speed.decode_tokens_per_s, self.speed.decode_interval_90),
            ):
                ends = f" (90 %: {rate(interval[0])} to {rate(interval[1])})" if interval else ""
                yield f"{kind} {at}: {rate(per_second)} tokens/s{ends}"
        elif self.speed_reason:
            yield f"no speed: {self.speed_reason}"
        if self.inputs is not None:
            yield from input_sentences(self.inputs)
        yield from (f"note: {warning}" for warning in self.warnings)


def input_sentences(inputs: InputEstimate) -> Iterator[str]:
    """How long an input may be, how fast it is read, and what its results take of the host."""
    longer = inputs.max_tokens
    more = f"; up to {count(longer)} would fit, with n_ubatch {longer}" if longer else ""
    yield f"one input of up to {count(inputs.n_tokens)} tokens{more}"
    if inputs.tokens_per_s is not None:
        ends = inputs.interval_90
        told = f" (90 %: {rate(ends[0])} to {rate(ends[1])})" if ends else ""
        yield f"inputs of that length: {rate(inputs.tokens_per_s)} tokens/s{told}"
    grown = mib(inputs.result_bytes)
    yield f"the output buffer grows to {grown} of the host's memory with a full batch"


def is_card(device: str) -> bool:
    """Whether llama.cpp's device name is graphics cards' own memory (`CUDA0` and `Meta()` are,
    `CUDA_Host` is not)."""
    return device.startswith(("CUDA", _ALL_CARDS)) and device != "CUDA_Host"


def as_printed(devices: Mapping[str, DeviceMemory], device: str) -> DeviceMemory | None:
    """What llama.cpp's log tells of a device; None for one that is not there. Of all cards as one,
    `Meta()`, it is the largest slice of each buffer."""
    cards = [memory for name, memory in devices.items() if is_card(name)]
    if not (cards and device.startswith(_ALL_CARDS)):
        return devices.get(device)
    return DeviceMemory(**{part: max(getattr(card, part) for card in cards) for part in COMPONENTS})
