"""What `oomph launch` writes reads back as the configuration that it was written of."""

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from oomph.advise.launch_plan import Launch, choose, server_config, slot_context
from oomph.architectures.catalogue import catalogue_model
from oomph.config import FLASH_ATTN, ROPE_SCALINGS, SPLIT_MODES, RunConfig
from oomph.estimate.estimator import Estimator
from oomph.gguf.ggml_types import KV_CACHE_TYPES
from oomph.programs.command_line import read_command
from oomph.views.launch.files import launch_files
from oomph.views.launch.spelling import n_card_layers

MODELS = {
    "mixture": catalogue_model("qwen3-30b-a3b", "Q4_K_M"),
    "windowed": catalogue_model("gemma-3-12b", "Q4_K_M"),
}
PATH = '/models/it\'s $HOME, a "model".gguf'
TENSORS = ("ffn_up=CPU", r"blk\.(1|2)\.ffn_.*_exps.*=CPU,output$=CPU", "a b'$PATH`x`=CPU")
KNOBS: dict[str, st.SearchStrategy[Any]] = {
    "n_ctx": st.integers(256, 40_960),
    "n_batch": st.integers(32, 4096),
    "n_ubatch": st.sampled_from((32, 64, 512, 513, 2048)),
    "n_seq_max": st.integers(1, 6),
    "kv_unified": st.booleans(),
    "type_k": st.sampled_from(KV_CACHE_TYPES),
    "type_v": st.sampled_from(KV_CACHE_TYPES),
    "flash_attn": st.sampled_from(tuple(FLASH_ATTN)),
    "swa_full": st.booleans(),
    "n_gpu_layers": st.integers(-1, 60),
    "n_cpu_moe": st.integers(0, 48),
    "override_tensor": st.sampled_from(TENSORS),
    "split_mode": st.sampled_from(tuple(SPLIT_MODES)),
    "main_gpu": st.just(0),
    "offload_kqv": st.booleans(),
    "op_offload": st.booleans(),
    "n_expert_used": st.integers(1, 64),
    "n_threads": st.integers(1, 128),
    "rope_scaling": st.sampled_from(tuple(ROPE_SCALINGS)),
    "rope_scale": st.sampled_from((2.0, 2.5, 4.0)),
}
CARDS = st.one_of(
    st.fixed_dictionaries({}),
    st.just({"n_devices": 0}),
    st.just({"n_devices": 2, "tensor_split": (3.0, 1.5)}),
)
OLLAMAS = {
    name: KNOBS[name]
    for name in ("n_batch", "n_ubatch", "n_seq_max", "flash_attn", "n_gpu_layers", "n_threads")
}
"""The knobs with which there is a Modelfile."""
SAID = {name: value for name, value in KNOBS.items() if name != "n_ctx"}


@cache
def plain(model: str) -> Launch:
    """A launch of nothing in particular: what it predicts stands in comments only."""
    return choose(Estimator(MODELS[model]), {}, model_path=PATH, profile="quality")


def written(model: str, knobs: dict[str, Any]) -> tuple[Launch, dict[str, str]]:
    """The launch of these knobs, and its files."""
    if not MODELS[model].is_moe:
        knobs = {name: knobs[name] for name in knobs if name not in ("n_expert_used", "n_cpu_moe")}
    config = server_config(MODELS[model], knobs)
    launch = replace(plain(model), config=config, context_length=knobs["n_ctx"])
    return launch, dict(launch_files(launch).texts)


def expected(name: str, launch: Launch) -> RunConfig:
    """The configuration of a file: the launch's, but for what the program cannot be told.

    text-generation-webui, koboldcpp and llama-cpp-python are told layers as a number; koboldcpp
    adds 128 tokens, has one cache, twice its batch and no YaRN; llama-cpp-python keeps logits for a
    batch, and has no word for a machine without a card. Neither can leave flash attention open.
    """
    config, layers = launch.config, n_card_layers(launch)
    decided = "off" if config.flash_attn == "off" else "on"
    if name.endswith("CMD_FLAGS.txt"):
        return config.with_(n_gpu_layers=layers)
    if name == "koboldcpp.sh":
        return config.with_(
            n_gpu_layers=layers,
            n_ctx=config.n_ctx + 128,
            cache_ram_mib=0,
            ctx_checkpoints=0,
            n_batch=2 * config.n_ubatch,
            n_outputs_max=None,
            kv_unified=True,
            flash_attn=decided,
            rope_scaling=None,
            rope_scale=None,
            yarn_orig_ctx=None,
        )
    if name == "llama_cpp_python.py":
        return config.with_(
            n_outputs_max=None,
            cache_ram_mib=0,
            ctx_checkpoints=0,
            kv_unified=False,
            flash_attn=decided,
            n_gpu_layers=config.n_gpu_layers if config.n_devices else 0,
            n_devices=config.n_devices or 1,
            n_ubatch=min(config.n_batch, config.n_ubatch),
        )
    return config


@settings(max_examples=200, deadline=None)
@pytest.mark.parametrize("model", MODELS)
@given(n_ctx=KNOBS["n_ctx"], knobs=st.fixed_dictionaries({}, optional=SAID), cards=CARDS)
def test_every_file_reads_back(
    model: str, n_ctx: int, knobs: dict[str, Any], cards: dict[str, Any]
) -> None:
    launch, texts = written(model, {"n_ctx": n_ctx} | knobs | cards)
    for name in texts.keys() & {
        "llama-server.sh",
        "models.ini",
        "text-generation-webui/CMD_FLAGS.txt",
        "koboldcpp.sh",
        "llama_cpp_python.py",
    }:
        pasted = read_command(texts[name])
        assert pasted.model == PATH, name
        assert pasted.said.config(launch.spec) == expected(name, launch), name
        assert not [each for each in pasted.said.remarks if "left out" in each], name


@settings(max_examples=60, deadline=None)
@given(n_ctx=KNOBS["n_ctx"], knobs=st.fixed_dictionaries({}, optional=OLLAMAS))
def test_a_modelfile_reads_back_as_far_as_it_goes(n_ctx: int, knobs: dict[str, Any]) -> None:
    launch, texts = written("mixture", {"n_ctx": n_ctx} | knobs)
    assume("Modelfile" in texts)  # it is left out where Ollama would run something else
    pasted = read_command(texts["Modelfile"])
    assert pasted.said.program == "ollama"
    assert pasted.model == PATH
    found = pasted.said.config(launch.spec)
    assert found.n_ctx == min(slot_context(launch.config), launch.spec.n_ctx_train)
    assert (found.n_ubatch, found.n_batch) == (launch.config.n_ubatch, launch.config.n_ubatch)
    assert found.n_gpu_layers == n_card_layers(launch)
    assert found.n_threads == launch.config.n_threads
