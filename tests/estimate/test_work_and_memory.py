"""Work and memory of one configuration agree: every model of the catalogue and every shape that was
held against llama.cpp, in settings that move things about."""

from dataclasses import replace
from functools import cache
from typing import Any, Final

import pytest
from bench.peers.architectures import shaped_model, shapes

from oomph.architectures.catalogue import catalogue_model, catalogue_names
from oomph.architectures.families import family_of
from oomph.architectures.layers import n_decoding
from oomph.architectures.spec import ModelSpec
from oomph.config import RunConfig
from oomph.estimate.buffers import Setup
from oomph.estimate.graph.placement import layer_of
from oomph.estimate.memory import Bytes, MemoryModel, kv_cache_bytes, recurrent_bytes, weight_bytes
from oomph.estimate.prediction import is_card
from oomph.estimate.work import AttentionWork, Work, forward_work

SETTINGS: Final[dict[str, dict[str, Any]]] = {
    "windows only": {"swa_full": False},
    "windows in full": {"swa_full": True},
    "eleven layers": {"swa_full": False, "n_gpu_layers": 11},
    "experts of five layers on the CPU": {"swa_full": False, "n_cpu_moe": 5},
    "a quantized cache": {"swa_full": False, "type_k": "q8_0", "type_v": "q8_0"},
    "four slots": {"swa_full": False, "n_seq_max": 4},
    "a cache for four": {"swa_full": False, "n_seq_max": 4, "kv_unified": True},
    "the cache on the host": {"swa_full": False, "offload_kqv": False},
    "two cards": {"swa_full": False, "n_devices": 2, "tensor_split": (3.0, 1.0)},
    "some by name": {"swa_full": False, "override_tensor": r"blk\.[1-3]\.ffn_=CPU,token_embd=CPU"},
    "no card": {"swa_full": False, "n_devices": 0},
}
PADDING_BYTES: Final = 128 + 512 * 34 // 32
"""What memory takes more for a tensor at most: alignment, and on a card the last quantized row
filled up."""

MODELS: Final = tuple(catalogue_names())
SHAPES: Final = tuple(name for name in shapes() if name not in MODELS)


@cache
def _model(name: str) -> ModelSpec:
    return catalogue_model(name, "Q4_K_M") if name in MODELS else shaped_model(name)


def _settled(name: str, setting: str) -> tuple[ModelSpec, Setup, dict[bool, Work]]:
    model = _model(name)
    setup = MemoryModel(model).setup(RunConfig(n_ctx=40_000, flash_attn="on", **SETTINGS[setting]))
    card, host = forward_work(model, setup)
    return model, setup, {True: card, False: host}


def _by_place(n_bytes: Bytes) -> dict[bool, int]:
    return {
        on_card: sum(n for name, n in n_bytes.items() if is_card(name) is on_card)
        for on_card in (True, False)
    }


def _stored_cells(group: AttentionWork, setup: Setup) -> int:
    """Cells that memory keeps for a layer of the group, of all streams."""
    cells = setup.sizes.cells if group.window is None else setup.sizes.cells_swa
    if group.tokens_a_cell > 1:
        cells = setup.sizes.compressed(group.tokens_a_cell)
    return cells * setup.sizes.n_stream


@pytest.mark.parametrize("name", [*MODELS, *SHAPES])
def test_work_and_memory_agree(name: str) -> None:
    for setting in SETTINGS:
        _hold(*_settled(name, setting), setting)


def _hold(model: ModelSpec, setup: Setup, works: dict[bool, Work], setting: str) -> None:
    caches, states = _by_place(kv_cache_bytes(setup)), _by_place(recurrent_bytes(setup))
    weights = _by_place(weight_bytes(_of_matrices(model), setup))
    weights[False] -= _looked_up_bytes(model, setup)
    caches[is_card(setup.placement.cache(setup.hparams.n_layer))] -= _unread_bytes(setup)
    for il, layer in enumerate(setup.hparams.layers):  # an indexer's V, which it does not have
        unread = setup.cache.v.row_bytes(layer.index_v_width)
        unread *= setup.sizes.cells * setup.sizes.n_stream
        caches[is_card(setup.placement.cache(il))] -= unread
    for on_card, work in works.items():
        read = sum(
            group.owners * group.row_bytes * _stored_cells(group, setup) for group in work.attention
        )
        assert 0 <= caches[on_card] - read <= 3 * setup.hparams.n_layer * PADDING_BYTES, setting
        state = 4 * work.recurrent_elements * setup.sizes.n_seqs
        assert 0 <= states[on_card] - state <= 2 * setup.hparams.n_layer * PADDING_BYTES, setting
        matrices = weights[on_card] - work.weight_bytes(None)
        assert 0 <= matrices <= len(model.tensors) * PADDING_BYTES, setting
    _hold_windows(setup, works)


def _of_matrices(model: ModelSpec) -> ModelSpec:
    """The model's tensors that a pass multiplies with: no norms, biases, tables that are looked up,
    convolutions, heads of whole inputs, and nothing of a head that predicts further tokens, parts
    of which are loaded all the same."""
    tables = (
        "embd", "embed", "token_types", "conv1d", "cls.", "dense_2", "dense_3", "_ape.", "tid2eid",
    )  # fmt: skip
    multiplied = {
        name: tensor
        for name, tensor in model.tensors.items()
        if len(tensor.ne) > 1
        and (layer_of(name) or 0) < n_decoding(model)
        and not name.endswith("bias")
        and (not any(word in name for word in tables) or _is_tied_head(name, model))
    }
    return replace(model, tensors=multiplied)


def _is_tied_head(name: str, model: ModelSpec) -> bool:
    runs = family_of(model.arch).head in ("logits", "of_text", "embedding")
    return runs and name == "token_embd.weight" and "output.weight" not in model.tensors


def _looked_up_bytes(model: ModelSpec, setup: Setup) -> int:
    """The copy of a tied output head that tokens are looked up in, where it is a copy."""
    is_copied = is_card(setup.placement.output) and not is_card(
        setup.placement.weight("token_embd.weight")
    )
    is_copied = is_copied and setup.hparams.family.head != "embedding"
    head = model.tensors["token_embd.weight"]
    return head.n_bytes if _is_tied_head(head.name, model) and is_copied else 0


def _unread_bytes(setup: Setup) -> int:
    """The cache of blocks that never run, which the trunk keeps and never reads: of heads for
    multi-token prediction, or of an encoder that has more."""
    hparams, sizes, cache = setup.hparams, setup.sizes, setup.cache
    n_idle = hparams.n_layer_all - hparams.n_layer if hparams.family.caches_idle else 0
    cells = (sizes.cells_swa if hparams.has_swa else sizes.cells) * sizes.n_stream
    values = cache.v.row_bytes(hparams.v_width_max) if hparams.keeps_v else 0
    return n_idle * cells * (cache.k.row_bytes(hparams.latent_width) + values)


def _hold_windows(setup: Setup, works: dict[bool, Work]) -> None:
    """The layers that the graph gives a window are those that the speed model gives one."""
    router = () if setup.hparams.router is None else (setup.hparams.router,)
    layers = [*setup.hparams.layers, *router]
    layers = [layer for layer in layers if layer.has_attention and layer.k_width]
    groups = [g for work in works.values() for g in work.attention if g.tokens_a_cell == 1]
    within = [group for group in groups if group.window is not None]
    assert {group.window for group in within} <= {setup.hparams.n_swa}
    assert sum(group.layers for group in within) == sum(layer.is_swa for layer in layers)
    assert sum(group.layers for group in groups) == len(layers)


def test_the_catalogue_has_every_kind_of_attention() -> None:
    """Else agreement would be of less than it says."""
    found = {name: _settled(name, "windows only") for name in MODELS}
    attention = {name: works[True].attention for name, (_, _, works) in found.items()}
    assert {group.window for group in attention["llama-4-scout"]} == {8192, None}
    assert any(group.owners < group.layers for group in attention["gemma-3n-e4b"])
    assert any(group.is_latent for group in attention["deepseek-v3"])
    assert found["deepseek-v3.2"][1].hparams.layers[0].index_width
    assert not attention["mamba2-2.7b"]
    assert attention["falcon-h1-7b"]
    assert found["falcon-h1-7b"][2][True].recurrent_elements
