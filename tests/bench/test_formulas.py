"""The formulas of other tools, each against a figure worked by hand."""

from dataclasses import replace
from importlib import import_module
from typing import Any

import pytest

from oomph.architectures.catalogue import catalogue_model
from oomph.config import RunConfig
from oomph.units import MIB


def asked(**changes: Any) -> Any:
    """A file of 16,000 MiB: 32 layers, 4096 wide, 32 heads of which 8 for keys, 8192 tokens in
    f16."""
    base = import_module("formulas").Question(
        file_mib=16000,
        cache_mib=1024,
        n_layer=32,
        n_embd=4096,
        n_head=32,
        n_head_kv=8,
        n_ctx=8192,
        cache_bits=16,
        gpu_layers=33,
    )
    return replace(base, **changes)


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        ("file size + exact cache", {}, 17024),
        # a layer: 500 - 17.9955 + 3.14855e-5 * 8 * 16 * 8192 = 515.0197; floor(25.389) = 25, so
        # 0.96906 layers more
        ("text-generation-webui", {}, 515.019664 * 32.9690636484 + 1516.522944),
        # at 131,072: a layer 500 - 17.9955 + 528.2395 = 1010.2440; floor(1.587) = 1, so 16 -
        # 10.9879 = 5.0121 more
        ("text-generation-webui", {"n_ctx": 131072}, 1010.243956 * 37.0121000912 + 1516.522944),
        ("text-generation-webui", {"gpu_layers": 10}, 515.019664 * 10.9690636484 + 1516.522944),
        # 2 * 32 layers * 8 heads * 128 wide * 8192 tokens * 2 bytes = 1 GiB, whatever the cache's
        # type
        ("Ollama", {"cache_bits": 4}, 17024),
        # the same cache in 8 bits is 512 MiB; (8 * 2 + 0.75) * 32 heads = 536
        ("NyxKrage", {"cache_bits": 8}, 17048),
    ],
)
def test_a_formula_gives_the_hand_worked_figure(
    name: str, changes: dict[str, Any], expected: float
) -> None:
    assert import_module("formulas").FORMULAS[name](asked(**changes)) == pytest.approx(
        expected, abs=0.01
    )


def test_a_question_has_the_models_own_shape() -> None:
    model, config = (
        catalogue_model("qwen3-30b-a3b", "Q4_K_M"),
        RunConfig(n_ctx=90_000, type_k="q8_0", type_v="q8_0"),
    )
    q = import_module("formulas").question(
        model, config, file_bytes=17 * 1024 * MIB, cache_bytes=4488 * MIB
    )
    assert (q.n_layer, q.n_embd, q.n_head, q.n_head_kv, q.n_ctx) == (48, 2048, 32, 4, 90_000)
    assert (q.file_mib, q.cache_mib, q.cache_bits, q.gpu_layers) == (17 * 1024, 4488, 8, 49)
