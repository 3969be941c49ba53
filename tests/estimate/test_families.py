"""Families beyond the common transformers: what llama.cpp 0.5.0's CUDA backend allocated, size by
size.

`tests/data/families.json` holds our own runs on the phantom card: published shapes in Q4_K_M as
sparse files, five configurations each (flash attention on and off, a quantized cache, several
sequences, half of the layers on the card, two cards). A row is the knobs and, for each device, MiB
of weights, KV cache, recurrent state and compute buffer as llama.cpp printed them.
"""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from oomph.architectures.catalogue import catalogue_model
from oomph.architectures.families import FAMILIES
from oomph.config import RunConfig
from oomph.estimate.graph.hparams import resolve_hparams
from oomph.estimate.memory import MemoryModel
from oomph.units import MIB

RUNS: Final[dict[str, list[Any]]] = json.loads(
    (Path(__file__).parents[1] / "data" / "families.json").read_text()
)
COMPONENTS: Final = ("weights_bytes", "kv_cache_bytes", "recurrent_bytes", "compute_bytes")
PRINTED_MIB: Final = 0.0051
"""llama.cpp prints two decimals."""


@pytest.mark.parametrize("name", RUNS)
def test_sizes_are_those_allocated(name: str) -> None:
    memory = MemoryModel(catalogue_model(name, "Q4_K_M"))
    assert memory.is_known
    for knobs, devices in RUNS[name]:
        estimate = memory.estimate(RunConfig.from_mapping(knobs))
        for device, printed in devices.items():
            predicted = [
                getattr(estimate.devices[device], component) / MIB for component in COMPONENTS
            ]
            if device == "CUDA_Host":
                predicted[:3] = [0, 0, 0]  # weights beside the card are mapped, not allocated there
            assert predicted == pytest.approx(printed, abs=PRINTED_MIB), (knobs, device)


def test_every_family_that_can_be_built_can_be_estimated() -> None:
    assert all(family.has_known_graph for family in FAMILIES.values() if family.tensors)


def test_gemma_4_reads_the_last_cache_of_the_same_kind() -> None:
    layers = resolve_hparams(catalogue_model("gemma-4-e2b", "Q8_0")).layers
    assert [layer.cache_layer for layer in layers[:15]] == list(range(15))
    assert {layer.cache_layer for layer in layers[15:] if layer.is_swa} == {13}
    assert {layer.cache_layer for layer in layers[15:] if not layer.is_swa} == {14}
    assert (layers[13].head_k, layers[14].head_k) == (256, 512)


def test_llama_4_chunks_three_layers_of_four() -> None:
    layers = resolve_hparams(catalogue_model("llama-4-scout", "Q8_0")).layers
    assert [layer.is_swa for layer in layers[:5]] == [True, True, True, False, True]
    assert [layer.has_rope for layer in layers[:5]] == [True, True, True, False, True]


def test_nemotron_keeps_one_kind_of_memory_a_layer() -> None:
    layers = resolve_hparams(catalogue_model("nemotron-3-nano-30b-a3b", "Q8_0")).layers
    assert [(layer.is_recurrent, layer.has_attention) for layer in layers[4:7]] == [
        (True, False),
        (False, True),
        (False, False),
    ]


def test_falcon_h1_keeps_both() -> None:
    layers = resolve_hparams(catalogue_model("falcon-h1-7b", "Q8_0")).layers
    assert all(layer.is_recurrent and layer.has_attention for layer in layers)


def test_auto_flash_attention_leaves_v_as_it_was() -> None:
    """With the cache on the CPU auto turns flash attention off, and V is not padded to the widest
    layer's."""
    memory = MemoryModel(catalogue_model("gemma-4-26b-a4b", "Q8_0"))
    wide, narrow = (
        memory.estimate(RunConfig(n_ctx=4096, flash_attn=flash_attn, offload_kqv=False))
        .devices["CPU"]
        .kv_cache_bytes
        for flash_attn in ("off", "auto")
    )
    assert narrow < wide
