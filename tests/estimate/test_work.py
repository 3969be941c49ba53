"""Work: what a pass reads and multiplies, counted from the tensors and placed as llama.cpp places
them."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oomph.architectures.catalogue import catalogue_model
from oomph.architectures.spec import ModelSpec
from oomph.config import RunConfig
from oomph.estimate.graph.placement import layer_and_part
from oomph.estimate.memory import MemoryModel
from oomph.estimate.work import Work, forward_work, kind_of

QWEN = catalogue_model("qwen3-30b-a3b", "Q4_K_M")
LLAMA = catalogue_model("llama-3.1-8b", "Q4_K_M")


def work_of(model: ModelSpec, **knobs: Any) -> tuple[Work, Work]:
    return forward_work(model, MemoryModel(model).setup(RunConfig(flash_attn="on", **knobs)))


def stored(work: Work) -> float:
    return work.weight_bytes(None)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Q4_K", "q4_k"),
        ("Q5_K", "q5_k"),
        ("Q5_1", "q4_0"),
        ("IQ4_NL", "iq4"),
        ("IQ2_XS", "iq2"),
        ("BF16", "f16"),
        ("F32", "f16"),
        ("MXFP4", "fp4"),
        ("Q3_K", "q3_k"),
        ("IQ3_XXS", "iq3"),
        ("Q8_0", "q8_0"),
        ("TQ1_0", "iq2"),
    ],
)
def test_every_type_has_the_kind_whose_kernels_take_it(name: str, kind: str) -> None:
    assert kind_of(name) == kind


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("blk.7.attn_q.weight", (7, "attn_q.weight")),
        ("enc.blk.12.ffn_up.weight", (12, "ffn_up.weight")),
        ("dec.blk.0.cross_attn_q.weight", (0, "cross_attn_q.weight")),
        ("blk.3.attn_q.weight.lora_a", (3, "attn_q.weight.lora_a")),
        ("output_norm.weight", (None, "output_norm.weight")),
        ("a.blk.1.weight", (None, "a.blk.1.weight")),
    ],
)
def test_a_tensor_is_a_part_of_its_layer(name: str, found: tuple[int | None, str]) -> None:
    assert layer_and_part(name) == found


def test_an_untied_embedding_is_looked_up_and_not_read() -> None:
    card, host = work_of(LLAMA)
    total = sum(tensor.n_bytes for tensor in LLAMA.tensors.values() if len(tensor.ne) > 1)
    assert stored(card) == total - LLAMA.tensors["token_embd.weight"].n_bytes
    assert host.is_idle


def test_a_tied_embedding_is_the_output_head() -> None:
    tied = catalogue_model("llama-3.2-1b", "Q8_0")
    card, _ = work_of(tied)
    assert sum(card.head_bytes.values()) == tied.tensors["token_embd.weight"].n_bytes


def test_a_token_multiplies_the_experts_that_it_uses() -> None:
    few, many = (work_of(QWEN, n_expert_used=n)[0] for n in (4, 8))
    assert few.expert_bytes == many.expert_bytes
    assert sum(many.expert_flops.values()) == 2 * sum(few.expert_flops.values())
    assert many.weight_bytes(1) - few.weight_bytes(1) == pytest.approx(
        sum(many.expert_bytes.values()) * 4 / 128
    )


def test_more_tokens_touch_more_experts_but_never_more_than_all() -> None:
    card, _ = work_of(QWEN)
    shares = [card.touched(n) for n in (1, 8, 64, 512, 10**6)]
    assert shares == sorted(shares)
    assert shares[0] == pytest.approx(8 / 128)
    assert shares[-1] == pytest.approx(1.0)


@settings(max_examples=40, deadline=None)
@given(n_gpu_layers=st.integers(-1, 60), n_cpu_moe=st.integers(0, 60))
def test_whatever_is_moved_nothing_is_lost(n_gpu_layers: int, n_cpu_moe: int) -> None:
    everything, _ = work_of(QWEN)
    card, host = work_of(QWEN, n_gpu_layers=n_gpu_layers, n_cpu_moe=n_cpu_moe)
    assert stored(card) + stored(host) == pytest.approx(stored(everything))
    assert card.kernels + host.kernels == pytest.approx(everything.kernels)
    layers = sum(group.layers for group in (*card.attention, *host.attention))
    assert layers == sum(group.layers for group in everything.attention)


def test_experts_on_the_cpu_leave_the_rest_of_the_layer_on_the_card() -> None:
    card, host = work_of(QWEN, n_cpu_moe=48)
    assert not card.expert_bytes
    assert not host.dense_bytes
    assert sum(host.expert_bytes.values()) > 15 * 2**30


def test_an_override_goes_before_the_layers_rule() -> None:
    card, host = work_of(QWEN, override_tensor=r"ffn_down_exps=CPU,ffn_up_exps=CUDA0")
    assert 0 < sum(host.expert_bytes.values()) < sum(card.expert_bytes.values())


def test_without_a_card_everything_is_on_the_host() -> None:
    card, host = work_of(LLAMA, n_devices=0)
    assert card.is_idle
    assert host.attention


def test_a_window_is_all_that_its_layers_see() -> None:
    card, _ = work_of(catalogue_model("gemma-3-4b", "Q4_K_M"))
    seen = {group.window: group.layers for group in card.attention}
    assert seen == {1024: 29, None: 5}
    assert {group.cells(100_000) for group in card.attention} == {1024, 100_000}


def test_mla_keeps_one_latent_row_for_all_heads() -> None:
    card, _ = work_of(catalogue_model("deepseek-v2-lite", "Q4_K_M"))
    (group,) = card.attention
    assert (group.n_head_kv, group.row_bytes, group.is_latent) == (1, 576 * 2, True)


def test_recurrent_layers_keep_a_state_and_no_cells() -> None:
    card, _ = work_of(catalogue_model("qwen3-next-80b-a3b", "Q4_K_M"))
    assert (card.recurrent_layers, sum(group.layers for group in card.attention)) == (36, 12)
    assert card.recurrent_elements > 0


def test_a_quantized_cache_has_smaller_rows() -> None:
    plain, small = (work_of(LLAMA, type_k=t, type_v=t)[0].attention[0] for t in ("f16", "q8_0"))
    assert small.row_bytes / plain.row_bytes == pytest.approx(34 / 64)
