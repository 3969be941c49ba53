"""One reference, the right reader."""

import json
from pathlib import Path

import pytest

from oomph import read_model
from oomph.errors import ModelFileError, UnknownNameError
from oomph.gguf import remote
from oomph.gguf.header import read_gguf

CONFIG = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 32000,
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-5,
    "torch_dtype": "bfloat16",
}


def test_path_is_read_from_disk(small_model: Path) -> None:
    spec = read_model(small_model)
    assert (spec.arch, spec.name, spec.n_layer, spec.n_vocab) == ("llama", "small", 2, 48)
    assert (spec.source, spec.file_bytes) == (str(small_model), small_model.stat().st_size)
    assert read_model(str(small_model)) == spec


@pytest.mark.parametrize(
    "reference", ["https://host/m.gguf", "http://host/m.gguf", "hf:owner/repo/m.gguf"]
)
def test_url_and_hugging_face_reference_are_read_over_http(
    reference: str, small_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(
        remote, "read_remote_gguf", lambda text: asked.append(text) or read_gguf(small_model)
    )
    assert read_model(reference).source == reference
    assert asked == [reference]


def test_published_name_needs_no_file() -> None:
    spec = read_model("qwen3-30b-a3b:Q4_K_M")
    assert (spec.arch, spec.n_expert, spec.n_expert_used, spec.file_bytes) == (
        "qwen3moe",
        128,
        8,
        None,
    )


def test_published_name_without_quantization_says_how_to_add_it() -> None:
    with pytest.raises(UnknownNameError, match="qwen3-30b-a3b:Q4_K_M"):
        read_model("qwen3-30b-a3b")


def test_unknown_published_name_lists_what_is_near() -> None:
    with pytest.raises(UnknownNameError, match="qwen3-30b-a3b"):
        read_model("qwen3-30b-a3c:Q4_K_M")


def test_config_json_is_read_as_stored_quantized_or_from_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(CONFIG))
    stored, quantized, folder = read_model(path), read_model(f"{path}:Q8_0"), read_model(tmp_path)
    assert stored.tensors["blk.0.ffn_up.weight"].quant.name == "BF16"
    assert quantized.tensors["blk.0.ffn_up.weight"].quant.name == "Q8_0"
    assert folder.tensors == stored.tensors


def test_file_goes_before_a_published_name(
    small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("qwen3-30b-a3b:Q4_K_M").write_bytes(small_model.read_bytes())
    assert read_model("qwen3-30b-a3b:Q4_K_M").name == "small"


@pytest.mark.parametrize("reference", ["nowhere.gguf", "folder/nowhere", "C:/models/x.gguf", ""])
def test_missing_file_is_one_sentence(
    reference: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelFileError) as caught:
        read_model(reference)
    assert "\n" not in str(caught.value)
