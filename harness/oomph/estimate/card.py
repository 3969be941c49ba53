"""A card as llama.cpp's kernels see it: peaks, generation, and what its build date brought.

Stands apart from `gpus` because these are judgements of the speed model (which cards run CUDA
graphs, whose memory pays for ECC, which build fused kernels), not entries of a data sheet. No
coefficient is in here.
"""

from typing import Final

from oomph.estimate.machine import LINUX, Machine
from oomph.frozen import frozen
from oomph.gpus import GpuSpec

_GENERATION: Final = {
    "6.0": "P100", "6.1": "Pascal", "7.0": "Volta", "7.2": "Volta", "7.5": "Turing", "8.0": "A100",
    "8.6": "Ampere",
    "8.7": "Ampere", "8.9": "Ada", "9.0": "Hopper", "10.0": "Hopper", "10.3": "Hopper",
}  # fmt: skip
_HBM_SERVER: Final = ("A100", "Hopper")
_ECC_CARDS: Final = frozenset(
    {"A40", "A10", "A10G", "A16", "A2", "L20", "L40", "L40S", "L4", "T4", "P40", "P4"}
)
"""GDDR cards for servers, which ship with ECC on and pay for it in bandwidth."""
_TYPICAL_W_PER_SM_GHZ: Final = {
    "Pascal": 3.86,
    "P100": 2.34,
    "Volta": 1.65,
    "Turing": 1.82,
    "A100": 1.42,
    "Ampere": 1.82,
    "Hopper": 1.65,
}
"""Board power for each SM and GHz against Ada and Blackwell: wider SMs and older processes take
more."""

_REACHABLE_PEAK: Final = {"9.0": 0.61, "10.0": 0.305, "10.3": 0.305, "11.0": 0.305}
"""Share of the data sheet's tensor peak that `mma.sync` can reach: llama.cpp's kernels do not use
wgmma or tcgen05."""

_WIDE: Final = ("8.7", "11.0")
"""Chips whose SMs have the tensor cores of A100 and B200, twice as wide as those that the kernels
are tuned for."""
_TENSOR_OPS: Final = 512
"""FP16 operations of an SM in a clock that only tensor cores do: TU116 and TU117 have none, and
256."""

_OLD_BUS_SHARE: Final = 0.5
"""PCIe 3 of cards before Ampere against the PCIe 4 that the bus's rate is of."""

INT8_BUILD: Final = 2024.45
"""llama.cpp multiplies quantized matrices with int8 tensor cores since June 2024 (PR 7676, 8062).
"""
FUSION_BUILDS: Final = (2025.65, 2025.87)
"""Kernel fusions came one by one between August and November 2025 (PR 14800, 16130, 16715 and
others)."""
NATIVE_FP4_BUILD: Final = 2025.97
"""Blackwell's own FP4 products since December 2025 (PR 17906)."""


@frozen
class CardTraits:
    """Facts for the formulas. `int8_ops` and `fp16_flops` are dense peaks per second, `sm_hz` is
    SMs x clock.

    `bus_share` is the bus's rate against PCIe 4.
    """

    name: str
    generation: str
    bandwidth_bytes_per_s: float
    sm_count: int
    sm_hz: float
    int8_ops: float
    fp16_flops: float
    relative_w_per_sm_ghz: float
    is_consumer: bool
    has_ecc: bool
    is_server: bool
    has_wide_tensor_cores: bool
    is_before_turing: bool
    is_before_ada: bool
    has_tensor_cores: bool
    has_int8_tensor_cores: bool
    is_unified: bool
    is_windows: bool
    is_capped: bool
    has_graphs: bool
    has_fp4: bool
    bus_share: float


def card_facts(gpu: GpuSpec, machine: Machine = LINUX) -> CardTraits:
    """`gpu` in the terms of the speed model, in this machine."""
    capability = tuple(int(part) for part in gpu.compute_capability.split("."))
    generation = _GENERATION.get(
        gpu.compute_capability, "Blackwell" if capability >= (10, 0) else "Pascal"
    )
    words = set(gpu.name.replace("-", " ").split())
    watts = (machine.power_limit_w or gpu.power_limit_w) / (gpu.sm_count * gpu.clock_ghz)
    fp16_ops = gpu.fp16_flops / (gpu.sm_count * gpu.clock_ghz * 1e9)
    has_tensor_cores = capability >= (7, 0) and fp16_ops > _TENSOR_OPS
    reachable = _REACHABLE_PEAK.get(gpu.compute_capability, 1.0)
    return CardTraits(
        name=gpu.name,
        generation=generation,
        bandwidth_bytes_per_s=gpu.bandwidth_bytes_per_s,
        sm_count=gpu.sm_count,
        sm_hz=gpu.sm_count * gpu.clock_ghz * 1e9,
        int8_ops=gpu.int8_ops * reachable,
        fp16_flops=gpu.fp16_flops * reachable,
        relative_w_per_sm_ghz=watts / _TYPICAL_W_PER_SM_GHZ.get(generation, 1.0),
        is_consumer=_is_consumer(gpu.name),
        has_ecc=bool(words & _ECC_CARDS),
        is_server=generation in _HBM_SERVER,
        has_wide_tensor_cores=generation in _HBM_SERVER or gpu.compute_capability in _WIDE,
        is_before_turing=capability < (7, 5),
        is_before_ada=capability < (8, 9),
        has_tensor_cores=has_tensor_cores,
        has_int8_tensor_cores=capability >= (7, 5) and has_tensor_cores,
        is_unified=gpu.is_unified,
        is_windows=machine.system == "windows",
        is_capped=machine.power_limit_w is not None and machine.power_limit_w < gpu.power_limit_w,
        has_graphs=capability >= (8, 0),
        has_fp4=capability >= (12, 0),
        bus_share=1.0 if capability >= (8, 0) else _OLD_BUS_SHARE,
    )


def fused_share(build_year: float) -> float:
    """How much of the kernel fusions a build has: 0 before August 2025, 1 after November."""
    start, end = FUSION_BUILDS
    return min(max((build_year - start) / (end - start), 0.0), 1.0)


def _is_consumer(name: str) -> bool:
    """Whether the card boosts as GeForce and Titan cards on a desktop do."""
    return ("GeForce" in name or "TITAN" in name.upper()) and "Laptop" not in name
