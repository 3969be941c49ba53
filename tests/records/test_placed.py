"""Where a row ran: by its own words, else by the lines above it, else unknown."""

from typing import Any

import pytest

from oomph.records.tables.devices import Surroundings
from oomph.records.tables.found import Row
from oomph.records.tools.placed import placed

TWO = (
    "ggml_cuda_init: found 2 CUDA devices:",
    "  Device 0: NVIDIA GeForce RTX 3090, compute capability 8.6, VMM: yes",
    "  Device 1: NVIDIA GeForce RTX 3060, compute capability 8.6, VMM: yes",
)
ROCM = (
    "ggml_cuda_init: found 1 ROCm devices:",
    "  Device 0: AMD Radeon RX 7900 XTX, gfx1100 (0x1100), VMM: no, Wave Size: 32",
)


def place(lines: tuple[str, ...] = (), **values: Any) -> tuple[str, tuple[str, ...], int]:
    around = Surroundings()
    for line in lines:
        around.take(line)
    found = placed(Row(values=values, line=1, table=1, around=around.now()))
    return found.backend, found.cards, found.n_devices


@pytest.mark.parametrize(
    ("lines", "backend", "cards"),
    [
        (TWO, "cuda", ("NVIDIA GeForce RTX 3090", "NVIDIA GeForce RTX 3060")),
        (ROCM, "rocm", ("AMD Radeon RX 7900 XTX",)),
        (ROCM[1:], "rocm", ("AMD Radeon RX 7900 XTX",)),
        (
            ("ggml_vulkan: 0 = NVIDIA GeForce RTX 3080 (NVIDIA) | uma: 0 | fp16: 1",),
            "vulkan",
            ("NVIDIA GeForce RTX 3080",),
        ),
        (
            ("Vulkan0: AMD Radeon 780M | uma: 1 | fp16: 1 | warp size: 64",),
            "vulkan",
            ("AMD Radeon 780M",),
        ),
        (
            (
                "Found 1 SYCL devices:",
                "| 0| [level_zero:gpu:0]|                Intel Arc A770 Graphics|   12.55|    512|",
            ),
            "sycl",
            ("Intel Arc A770 Graphics",),
        ),
        (
            (
                "ggml_metal_init: found device: Apple M2 Max",
                "ggml_metal_init: picking default device: Apple M2 Max",
            ),
            "metal",
            ("Apple M2 Max",),
        ),
        (("ggml_metal_device_init: GPU name:   MTL0 (Apple M4 Pro)",), "metal", ("Apple M4 Pro",)),
        (
            ("ggml_opencl: selected device: 'QUALCOMM Adreno(TM) 750'",),
            "opencl",
            ("QUALCOMM Adreno(TM) 750",),
        ),
        (
            (
                *TWO,
                "llama_model_load_from_file_impl: using device CUDA1 (NVIDIA GeForce RTX 3060) "
                "(0000:02:00.0) - 11900 MiB free",
            ),
            "cuda",
            ("NVIDIA GeForce RTX 3060",),
        ),
        (
            ("  - CUDA0   : NVIDIA GeForce RTX 3090 (24252 MiB, 23991 MiB free)",),
            "cuda",
            ("NVIDIA GeForce RTX 3090",),
        ),
        ((*TWO, "ggml_vulkan: 0 = NVIDIA GeForce RTX 3090 (NVIDIA) | uma: 0"), "unknown", ()),
        ((), "unknown", ()),
    ],
)
def test_the_lines_above_tell_where_a_row_does_not(
    lines: tuple[str, ...], backend: str, cards: tuple[str, ...]
) -> None:
    found = place(lines)
    assert found[0] == backend
    if backend != "unknown":
        assert found[1] == cards or "using device" in lines[-1]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"backends": "CUDA"}, ("cuda", ("NVIDIA GeForce RTX 3090", "NVIDIA GeForce RTX 3060"), 2)),
        ({"backends": "CUDA", "devices": "none"}, ("cpu", (), 0)),
        ({"backends": "CUDA", "devices": "CUDA1"}, ("cuda", ("NVIDIA GeForce RTX 3060",), 1)),
        ({"backends": "CUDA", "devices": "CUDA5"}, ("cuda", (), 1)),
        ({"backends": "CUDA", "devices": "CUDA0/Vulkan0"}, ("unknown", (), 2)),
        ({"backends": "CUDA,RPC", "devices": "RPC0/CUDA0"}, ("rpc", (), 2)),
        ({"backends": "RPC"}, ("rpc", (), 1)),
        ({"backends": "CPU"}, ("cpu", (), 0)),
        ({"backends": "BLAS"}, ("cpu", (), 0)),
        ({"backends": "Vulkan"}, ("vulkan", (), 1)),
        ({"backends": "MTL,BLAS"}, ("metal", (), 1)),
        ({"backends": "Vulkan", "gpu_info": "RX 7900"}, ("vulkan", ("RX 7900",), 1)),
        ({"backends": "Vulkan", "tensor_split": "3.00/1.00"}, ("vulkan", (), 2)),
        ({"cuda": "1", "gpu_info": "RTX 3090"}, ("cuda", ("RTX 3090",), 1)),
        ({"cuda": False, "metal": False, "gpu_info": ""}, ("cpu", (), 0)),
        (
            {"backends": "CUDA,RPC", "gpu_info": "RTX 3090, 10.0.0.2:50052"},
            ("rpc", ("RTX 3090",), 2),
        ),
    ],
)
def test_a_row_s_own_words_come_first(
    values: dict[str, Any], expected: tuple[str, tuple[str, ...], int]
) -> None:
    assert place(TWO, **values) == expected


def test_a_command_with_rpc_ran_on_other_machines_too() -> None:
    remote = ("$ llama-bench --rpc 10.0.0.2:50052 -m x.gguf", *ROCM)
    assert place(remote, backends="ROCm,RPC")[0] == "rpc"
    assert place((*remote, "$ llama-bench -m x.gguf"), backends="ROCm,RPC")[0] == "rocm"
    assert place(remote, backends="ROCm")[0] == "rocm"


def test_rpc_in_a_list_alone_leaves_a_doubt() -> None:
    row = Row(values={"backends": "CUDA,RPC"}, line=1)
    assert (placed(row).backend, placed(row).is_sure) == ("cuda", False)
    told = Row(values={"backends": "CUDA,RPC", "gpu_info": "RTX 4090"}, line=1)
    assert placed(told).is_sure
