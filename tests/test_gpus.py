"""The catalogue of cards: every usual spelling finds its card, every figure is plausible and has a
source."""

import contextlib
import math
import re
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomph import gpus
from oomph.errors import UnknownNameError
from oomph.gpus import GpuSpec, gpu, gpu_names, gpu_specs, other_maker
from oomph.units import MIB

SPELLINGS = {
    "NVIDIA GeForce RTX 4090": ["NVIDIA GeForce RTX 4090", "GeForce RTX 4090", "rtx4090", "4090",
    "RTX 4090 24GB"],
    "NVIDIA GeForce RTX 4090 D": ["RTX 4090 D", "4090d"],
    "NVIDIA GeForce RTX 4090 Laptop GPU": ["RTX 4090 Laptop", "NVIDIA GeForce RTX 4090 Mobile",
    "4090 laptop gpu"],
    "NVIDIA GeForce RTX 4070 Ti SUPER": ["4070 Ti Super", "RTX4070TiSUPER", "rtx 4070ti super"],
    "NVIDIA GeForce RTX 4070 Ti": ["4070 ti", "RTX 4070Ti"],
    "NVIDIA GeForce RTX 4060 Ti": ["RTX 4060 Ti", "4060ti-8g"],
    "NVIDIA GeForce RTX 4060 Ti 16GB": ["RTX 4060 Ti 16GB", "4060 ti 16 gb"],
    "NVIDIA GeForce RTX 3060": ["NVIDIA GeForce RTX 3060", "RTX 3060 12GB", "3060"],
    "NVIDIA GeForce GTX 1060 6GB": ["GTX 1060", "NVIDIA GeForce GTX 1060"],
    "NVIDIA GeForce GTX 1080 Ti": ["NVIDIA GTX 1080 Ti", "1080ti"],
    "NVIDIA RTX PRO 6000 Blackwell Workstation Edition": ["RTX PRO 6000 Blackwell", "PRO 6000"],
    "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition": ["RTX PRO 6000 Max-Q",
    "rtx pro 6000 maxq"],
    "NVIDIA RTX PRO 6000 Blackwell Server Edition": ["RTX PRO 6000 Blackwell Server Edition"],
    "NVIDIA RTX PRO 4000 Blackwell SFF Edition": ["NVIDIA RTX PRO 4000 Blackwell SFF"],
    "NVIDIA RTX 6000 Ada Generation": ["RTX 6000 Ada", "NVIDIA RTX 6000 Ada Generation"],
    "NVIDIA RTX A6000": ["A6000", "RTX A6000"],
    "Quadro RTX 6000": ["NVIDIA Quadro RTX 6000", "Quadro RTX 6000"],
    "Tesla T4": ["T4", "NVIDIA Tesla T4", "NVIDIA T4"],
    "Tesla P40": ["P40", "NVIDIA Tesla P40"],
    "Tesla P100-PCIE-16GB": ["Tesla P100", "P100 16GB"],
    "Tesla V100-SXM2-16GB": ["NVIDIA Tesla V100", "V100"],
    "Tesla V100-SXM2-32GB": ["V100 32GB", "V100-SXM2-32GB"],
    "NVIDIA A100-SXM4-80GB": ["A100", "A100 80 GB", "NVIDIA A100-SXM4-80GB", "A100 SXM 80GB"],
    "NVIDIA A100-SXM4-40GB": ["A100 40GB"],
    "NVIDIA A100 80GB PCIe": ["A100 PCIe 80GB", "NVIDIA A100 80GB PCIe"],
    "NVIDIA H100 80GB HBM3": ["H100", "H100 SXM", "H100 80GB HBM3", "NVIDIA H100 SXM 80GB",
    "NVIDIA H100 80 GB"],
    "NVIDIA H100 PCIe": ["H100 PCIe"],
    "NVIDIA A40": ["CUDA0: NVIDIA A40", "a40"],
    "NVIDIA GB10": ["GB10", "DGX Spark"],
    "NVIDIA Jetson AGX Orin 64GB": ["Orin", "NVIDIA Jetson AGX Orin"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("spelling", "name"), [(s, name) for name, spelled in SPELLINGS.items() for s in spelled]
)
def test_usual_spelling_finds_the_card(spelling: str, name: str) -> None:
    assert gpu(spelling).name == name


@given(st.sampled_from(gpu_names()), st.sampled_from([str.lower, str.upper, lambda s: f"  {s} "]))
def test_cudas_own_name_finds_the_card_in_any_case(name: str, change) -> None:  # type: ignore[no-untyped-def]
    assert gpu(change(name)).name == name


def test_names_are_unique() -> None:
    assert len(set(gpu_names())) == len(gpu_names()) > 150


@pytest.mark.parametrize(
    ("spelling", "near"),
    [
        ("RTX 4090 SUPER", "4080 SUPER"),
        ("RTX 9999", "RTX"),
        ("", "NVIDIA"),
        ("H1000", "H100"),
        ("4090 3GB", "4090"),
    ],
)
def test_unknown_name_lists_the_nearest(spelling: str, near: str) -> None:
    with pytest.raises(UnknownNameError, match="near it are") as caught:
        gpu(spelling)
    assert near in str(caught.value)


@given(st.sampled_from(gpu_names()), st.sampled_from(["-", "_", " ", "  ", ""]), st.randoms())
def test_any_card_is_found_in_any_case_and_with_any_separators(
    name: str, separator: str, random: Random
) -> None:
    spelled = re.sub(r"[ -]+", separator, name)
    assert gpu("".join(random.choice((c.upper(), c.lower())) for c in spelled)).name == name


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("RTX-3090-Ti", "NVIDIA GeForce RTX 3090 Ti"),
        ("rtx_3090", "NVIDIA GeForce RTX 3090"),
        ("GeForce3090", "NVIDIA GeForce RTX 3090"),
        ("4070TiSuper", "NVIDIA GeForce RTX 4070 Ti SUPER"),
        ("PRO6000", "NVIDIA RTX PRO 6000 Blackwell Workstation Edition"),
        ("RTX 6000 Pro", "NVIDIA RTX PRO 6000 Blackwell Workstation Edition"),
        ("RTXA6000", "NVIDIA RTX A6000"),
        ("H100NVL", "NVIDIA H100 NVL"),
    ],
)
def test_names_as_people_write_them(spelling: str, name: str) -> None:
    assert gpu(spelling).name == name


@pytest.mark.parametrize(
    ("spelling", "maker"),
    [
        ("RX 7900 XTX", "AMD"),
        ("rx7900xtx", "AMD"),
        ("9070 XT", "AMD"),
        ("MI300X", "AMD"),
        ("Radeon AI PRO R9700", "AMD"),
        ("Strix Halo", "AMD"),
        ("Ryzen AI Max+ 395", "AMD"),
        ("780M", "AMD"),
        ("M3 Max", "Apple"),
        ("Apple M4 Pro", "Apple"),
        ("M1", "Apple"),
        ("Arc B580", "Intel"),
        ("A770", "Intel"),
        ("Arc Pro B60", "Intel"),
        ("Iris Xe", "Intel"),
        ("Adreno 750", "Qualcomm"),
    ],
)
def test_other_makers_cards_are_named_and_get_no_look_alike(spelling: str, maker: str) -> None:
    with pytest.raises(UnknownNameError, match=rf"is by {maker}.*--gpu-mem 24GiB") as caught:
        gpu(spelling)
    assert "near it" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", gpu_names())
def test_no_card_of_the_catalogue_is_taken_for_another_makers(name: str) -> None:
    assert other_maker(name) is None


@pytest.mark.parametrize("text", ["3090,3090", "RTX 5090 + RTX 3080", "2x 3090", "RTX 3090 x2"])
def test_several_cards_are_not_taken_for_one(text: str) -> None:
    with pytest.raises(UnknownNameError, match="names several cards"):
        gpu(text)


@given(st.text(max_size=40))
def test_any_text_is_a_card_or_an_unknown_name(text: str) -> None:
    with contextlib.suppress(UnknownNameError):
        assert gpu(text).name


def test_name_of_several_generations_is_not_guessed() -> None:
    with pytest.raises(
        UnknownNameError, match="Quadro RTX 6000 or NVIDIA RTX 6000 Ada Generation or"
    ):
        gpu("RTX 6000")


@pytest.mark.parametrize(
    ("name", "tflops", "tops"),
    [  # NVIDIA's dense tensor peaks: FP16 with FP16 accumulate, INT8
        ("RTX 2080 Ti", 107.6, 215.2),
        ("T4", 65, 130),
        ("V100", 125, 0),
        ("A100", 312, 624),
        ("A30", 165, 330),
        ("A10", 125, 250),
        ("A40", 149.7, 299.3),
        ("RTX 3090", 142, 284),
        ("RTX A6000", 154.8, 309.7),
        ("RTX 4090", 330.3, 660.6),
        ("RTX 6000 Ada", 364.2, 728.5),
        ("L4", 121, 242),
        ("L40S", 366, 733),
        ("H100", 989.4, 1978.9),
        ("H100 PCIe", 756, 1513),
        ("H200", 989.4, 1978.9),
        ("B200", 2250, 4500),
        ("RTX 5090", 419, 838),
        ("RTX 5080", 225.1, 450.2),
        ("RTX 5070 Ti", 175.8, 351.5),
        ("RTX PRO 6000", 503.8, 1007.6),
        ("Jetson AGX Orin", 42.5, 85),
    ],
)
def test_peaks_are_the_data_sheets(name: str, tflops: float, tops: float) -> None:
    spec = gpu(name)
    assert spec.fp16_flops == pytest.approx(tflops * 1e12, rel=0.02)
    assert spec.int8_ops == pytest.approx(tops * 1e12, rel=0.02)


@pytest.mark.parametrize(
    ("name", "reported_mib"),
    [
        ("RTX PRO 6000", 97247),
        ("RTX PRO 6000 Server", 97250),
        ("P100", 16269),
        ("T4", 14912),
        ("GTX 1080", 8098),
        ("RTX 5070 Ti", 15842),
        ("Quadro RTX 5000", 15927),
        ("A6000", 48531),
        ("RTX 4090", 24080),
    ],
)
def test_memory_is_what_cuda_reported(name: str, reported_mib: int) -> None:
    assert gpu(name).memory_bytes == reported_mib * MIB


@pytest.mark.parametrize("spec", gpu_specs(), ids=gpu_names())
def test_figures_of_every_card_are_plausible_and_have_a_source(spec: GpuSpec) -> None:
    assert 1.5 * 2**30 < spec.memory_bytes < 190 * 2**30
    assert 0.3 < spec.clock_ghz < 3
    assert 5 <= spec.sm_count <= 192
    assert 50e9 < spec.bandwidth_bytes_per_s < 9e12
    assert 20 < spec.power_limit_w < 1300
    assert spec.fp16_flops > 0 <= spec.int8_ops
    assert "; memory: " in spec.source
    flops_a_byte = spec.fp16_flops / spec.bandwidth_bytes_per_s
    assert 10 < flops_a_byte < 1000


class TestCustom:
    def test_card_is_described_by_memory_capability_and_sms(self) -> None:
        spec = gpu("mine:24000:8.9:64")
        assert (spec.name, spec.memory_bytes, spec.sm_count) == ("mine", 24000 * MIB, 64)
        assert (spec.generation, spec.compute_capability) == ("Ada", "8.9")
        assert math.isclose(spec.fp16_flops, 64 * spec.clock_ghz * 1e9 * 1024)
        assert "described by hand" in spec.source

    @pytest.mark.parametrize(
        "text", ["m:0:8.9:64", "m:x:8.9:64", "m:24000:3.5:64", "m:24000:8.9:0", ":24000:8.9:64"]
    )
    def test_what_is_no_card_says_how_it_is_written(self, text: str) -> None:
        with pytest.raises(UnknownNameError, match="NAME:MEMORY_MIB:COMPUTE_CAPABILITY:SMS"):
            gpu(text)


def test_a_card_is_found_among_the_lines_that_may_name_it() -> None:
    for entry in gpus._catalogue():
        for name in entry.names:
            assert entry in gpus._likely(gpus._words(name)[0])
