"""LoRA adapters: read as they were written, refused as llama.cpp refuses them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from oomph.architectures.adapter import check_adapter, read_adapter_file
from oomph.architectures.projector_catalogue import published_projector
from oomph.architectures.source import read_model
from oomph.architectures.spec import ModelSpec
from oomph.errors import ConfigError, ModelFileError
from oomph.models.lora import ATTENTION, EXPERTS, lora_for, write_lora
from oomph.models.synth import write_synthetic

Changed = Callable[[ModelSpec], ModelSpec]


@pytest.fixture(scope="module")
def llama() -> ModelSpec:
    return read_model("llama-3.1-8b:Q4_K_M")


def test_written_adapter_reads_back_as_it_was(llama: ModelSpec, tmp_path: Path) -> None:
    adapter = lora_for(llama, 16)
    read = read_adapter_file(write_lora(adapter, tmp_path / "lora.gguf"))
    assert read.pairs.keys() == adapter.pairs.keys()
    assert (read.rank, read.arch, read.n_bytes) == (16, "llama", adapter.n_bytes)
    assert len(read.pairs) == 32 * len(ATTENTION)
    check_adapter(read, llama)


def test_adapter_of_experts_has_a_pair_for_all_of_them_together() -> None:
    model = read_model("qwen3-30b-a3b:Q4_K_M")
    pair = lora_for(model, 8, EXPERTS).pairs["blk.0.ffn_up_exps.weight"]
    assert (pair.a.ne, pair.b.ne) == ((2048, 8, 128), (8, 768, 128))


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ("qwen3-8b:Q4_K_M", "of architecture 'llama', and qwen3-8b is 'qwen3'"),
        ("llama-3.1-70b:Q4_K_M", "blk.0.attn_k.weight of 4096 x 1024, and that of llama-3.1-70b"),
        ("llama-3.2-1b:Q4_K_M", "llama-3.2-1b"),
    ],
)
def test_adapter_of_another_model_is_refused(llama: ModelSpec, other: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        check_adapter(lora_for(llama, 16), read_model(other))


def test_adapter_of_a_tensor_that_the_model_lacks_is_refused(llama: ModelSpec) -> None:
    adapter = lora_for(llama, 16)
    pairs = {"blk.0.attn_gate.weight": adapter.pairs["blk.0.attn_q.weight"]}
    with pytest.raises(ConfigError, match=r"changes blk\.0\.attn_gate\.weight, which"):
        check_adapter(replace(adapter, pairs=pairs), llama)


def test_other_files_are_refused_by_what_they_are(tmp_path: Path) -> None:
    text = write_synthetic(read_model("smollm2-135m:Q8_0"), tmp_path / "text.gguf")
    with pytest.raises(ModelFileError, match="no LoRA adapter but a model"):
        read_adapter_file(text)
    eye = write_synthetic(published_projector("gemma-3-4b"), tmp_path / "mmproj.gguf")
    with pytest.raises(ModelFileError, match="no LoRA adapter but a projector"):
        read_adapter_file(eye)


def test_half_a_pair_and_strange_tensors_are_refused(llama: ModelSpec, tmp_path: Path) -> None:
    path = write_lora(lora_for(llama, 4), tmp_path / "lora.gguf")
    cut = path.read_bytes()
    lonely = tmp_path / "lonely.gguf"
    lonely.write_bytes(cut.replace(b"blk.0.attn_k.weight.lora_b", b"blk.0.attn_x.weight.lora_b", 1))
    with pytest.raises(ModelFileError, match="one matrix of the pair for"):
        read_adapter_file(lonely)
    strange = tmp_path / "strange.gguf"
    strange.write_bytes(
        cut.replace(b"blk.0.attn_k.weight.lora_b", b"blk.0.attn_k.weight.lora_c", 1)
    )
    with pytest.raises(ModelFileError, match="has an unexpected suffix"):
        read_adapter_file(strange)
