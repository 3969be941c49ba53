"""Cards, what they had free, and the backend, as every backend introduces its own."""

import pytest

from oomph.measure.logs.devices import read_devices
from oomph.units import MIB

RTX = "NVIDIA GeForce RTX 3090"


@pytest.mark.parametrize(
    ("lines", "backend", "names", "free_mib"),
    [
        (
            [f"llama_model_load: using device CUDA0 ({RTX}) (0000:01:00.0) - 23991 MiB free"],
            "cuda",
            [RTX],
            [23991],
        ),
        ([f"- CUDA0   : {RTX} (24252 MiB, 23991 MiB free)"], "cuda", [RTX], [23991]),
        (
            [
                "ggml_cuda_init: found 2 CUDA devices (Total VRAM: 48504 MiB):",
                f"Device 0: {RTX}, compute capability 8.6, VMM: yes, VRAM: 24252 MiB",
                f"Device 1: {RTX}, compute capability 8.6, VMM: yes, VRAM: 24252 MiB",
            ],
            "cuda",
            [RTX, RTX],
            [],
        ),
        (
            ["Device 0: AMD Radeon RX 7900 XTX, gfx1100 (0x1100), VMM: no, Wave Size: 32"],
            "rocm",
            ["AMD Radeon RX 7900 XTX"],
            [],
        ),
        (
            ["ggml_vulkan: 0 = AMD Radeon RX 6800 XT (RADV NAVI21) (radv) | uma: 0 | fp16: 1"],
            "vulkan",
            ["AMD Radeon RX 6800 XT (RADV NAVI21)"],
            [],
        ),
        (["ggml_metal_device_init: GPU name:   MTL0 (Apple M4)"], "metal", ["Apple M4"], []),
        (["ggml_metal_init: GPU name:   Apple M1 Pro"], "metal", ["Apple M1 Pro"], []),
        (
            ["| 0| [level_zero:gpu:0]|   Intel Arc A770 Graphics|  12.55|  512|   1024| 16225M|"],
            "sycl",
            ["Intel Arc A770 Graphics"],
            [],
        ),
        (
            [
                'inference compute id=GPU-1 library=CUDA compute=8.6 name=CUDA0 description="x" '
                'total="24.0 GiB" available="23.0 GiB"'
            ],
            "cuda",
            ["x"],
            [23552],
        ),
        (["llama_context:  ROCm_Host  output buffer size =     3.79 MiB"], "rocm", [], []),
        (
            ["llama_kv_cache: RPC[10.0.0.2:50052] KV buffer size =   600.00 MiB"],
            "rpc",
            [],
            [],
        ),
        (["llama_context:        CPU compute buffer size =   300.00 MiB"], "cpu", [], []),
        (["load_tensors: offloaded 0/29 layers to GPU"], "cpu", [], []),
        (["load_tensors:   CPU_Mapped model buffer size =   300.00 MiB"], "unknown", [], []),
        (["llm_load_tensors: VRAM used: 20607.34 MiB"], "unknown", [], []),
        (["hello"], "unknown", [], []),
    ],
)
def test_the_backend_and_its_cards(
    lines: list[str], backend: str, names: list[str], free_mib: list[int]
) -> None:
    found = read_devices(lines)
    assert found.backend == backend
    assert [card.name for card in found.cards if card.name] == names
    assert [n_bytes / MIB for n_bytes in found.free_bytes] == free_mib


def test_the_cards_that_are_used_count_alone() -> None:
    found = read_devices(
        [
            f"- CUDA0   : {RTX} (24252 MiB, 23991 MiB free)",
            "- CUDA1   : NVIDIA GeForce GTX 1060 (6144 MiB, 6000 MiB free)",
            f"llama_model_load: using device CUDA0 ({RTX}) (0000:01:00.0) - 23900 MiB free",
        ]
    )
    assert [card.device for card in found.cards] == ["CUDA0"]
    assert found.cards[0].total_bytes == 24252 * MIB
    assert found.free_bytes == (23900 * MIB,)


def test_what_one_card_had_free_is_no_answer_for_two() -> None:
    found = read_devices(
        [
            f"- CUDA0   : {RTX} (24252 MiB, 23991 MiB free)",
            "Device 1: NVIDIA GeForce GTX 1060, compute capability 6.1, VMM: yes",
        ]
    )
    assert len(found.cards) == 2
    assert found.free_bytes == ()
