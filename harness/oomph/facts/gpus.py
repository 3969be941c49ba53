"""NVIDIA cards: what CUDA reports as usable memory, and the rates a roofline needs."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuSpec:
    """One card. `memory_bytes` is what CUDA reports as usable, `clock_ghz` the boost clock of the data sheet.

    `int8_ops` and `fp16_flops` are dense peaks per second (SMs x clock x operations), 0 where the card has none.
    """

    name: str
    generation: str
    compute_capability: str
    sm_count: int
    clock_ghz: float
    memory_bytes: int
    bandwidth_bytes_per_s: float
    fp16_flops: float
    int8_ops: float
    power_limit_w: float
    source: str = ""
