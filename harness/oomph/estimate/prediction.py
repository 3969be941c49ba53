"""What an estimate says: bytes by device, tokens per second, and how sure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from oomph.config import RunConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceMemory:
    """Bytes on one device: `weights + kv_cache + recurrent + compute + output + overhead`.

    `overhead_bytes` is what llama.cpp prints nowhere: CUDA context, cuBLAS workspace, the pool that
    grows in use.
    """

    weights_bytes: int = 0
    kv_cache_bytes: int = 0
    recurrent_bytes: int = 0
    compute_bytes: int = 0
    output_bytes: int = 0
    overhead_bytes: int = 0

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
        )

    def certain_bytes(self, *, exact_compute: bool) -> int:
        """What llama.cpp allocates for certain: nothing of the overhead, and no compute buffer that
        is a guess."""
        return self.total_bytes - self.overhead_bytes - (0 if exact_compute else self.compute_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryEstimate:
    """Memory by llama.cpp's device name (`CUDA0`…, `CUDA_Host`, `CPU`); `exact_compute` is False
    where the architecture's graph is not known and the compute buffer follows the general
    transformer rule."""

    devices: Mapping[str, DeviceMemory]
    exact_compute: bool = True
    warnings: tuple[str, ...] = ()

    @property
    def total_vram_bytes(self) -> int:
        """The sum over the cards."""
        return sum(memory.total_bytes for name, memory in self.devices.items() if is_card(name))


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotsSpeed:
    """All `n_slots` sequences decoding at once, each `n_depth` cells deep: tokens per second of all
    together."""

    n_slots: int
    n_depth: int
    decode_tokens_per_s: float
    decode_interval_90: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """The answer for one configuration. `fits` and `max_context` are None where no card was named.

    `speed_reason` says why there is no `speed`, in one sentence; None where there is one.
    """

    model: str
    config: RunConfig
    memory: MemoryEstimate
    fits: bool | None = None
    fit_probability: float | None = None
    max_context: int | None = None
    speed: SpeedEstimate | None = None
    speed_reason: str | None = None
    warnings: tuple[str, ...] = field(default=())


def is_card(device: str) -> bool:
    """Whether llama.cpp's device name is a graphics card's own memory (`CUDA0` is, `CUDA_Host` is
    not)."""
    return device.startswith("CUDA") and device != "CUDA_Host"
