"""What is no model is named for what it is, with the next step, in one sentence."""

import json
import struct
from pathlib import Path

import pytest

import gguf
from oomph import read_model
from oomph.errors import ModelFileError
from oomph.gguf.other_files import kind_of_start

STARTS = {
    "a safetensors file": struct.pack("<Q", 40) + b'{"__metadata__":{"format":"pt"}}',
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
    "an HTML page": b"<!DOCTYPE html><html><body>Not found</body></html>",
    "an HTML page ": b"\n  <html lang=en>",
    "a server's error text": b"Entry not found",
    "a server's error text ": b'{"error":"Repository not found"}',
    "a zip archive": b"PK\x03\x04" + bytes(60),
    "a gzip archive": b"\x1f\x8b\x08" + bytes(60),
    "a GGML file of before August 2023": b"tjgg\x03\x00\x00\x00" + bytes(60),
    "a PyTorch pickle": b"\x80\x02}q\x00." + bytes(60),
}


@pytest.mark.parametrize(("what", "start"), STARTS.items())
def test_a_file_is_known_by_its_start(what: str, start: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(start)
    with pytest.raises(ModelFileError) as caught:
        read_model(path)
    assert str(caught.value).startswith(f"{path} is {what.strip()}")
    assert "; " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_model_and_noise_are_none_of_these(small_model: Path) -> None:
    assert kind_of_start(small_model.read_bytes()[:64]) is None
    assert kind_of_start(b"") is None
    assert kind_of_start(bytes(range(64, 128))) is None


HEADERS = {
    "a projector (mmproj)": {"arch": "clip", "general.type": "mmproj"},
    "an adapter (LoRA)": {"arch": "llama", "general.type": "adapter", "adapter.type": "lora"},
    "an importance matrix (imatrix)": {"arch": "", "general.type": "imatrix"},
    "a control vector": {"arch": "controlvector"},
}


@pytest.mark.parametrize(("what", "keys"), HEADERS.items())
def test_a_gguf_that_is_no_model_is_named(what: str, keys: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(path, keys["arch"])
    for key, value in keys.items():
        if key != "arch":
            writer.add_string(key, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ModelFileError) as caught:
        read_model(path)
    assert str(caught.value).startswith(f"{path} is {what}")
    assert str(caught.value).endswith("name the model's own file")


def test_a_folder_says_what_is_in_it(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"is a folder without a GGUF file or a config\.json"):
        read_model(tmp_path)
    for name in ("b-00001-of-00002.gguf", "b-00002-of-00002.gguf", "a.gguf", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(ModelFileError) as caught:
        read_model(tmp_path)
    listed = f"name one file of it: {tmp_path / 'a.gguf'}, {tmp_path / 'b-00001-of-00002.gguf'}"
    assert str(caught.value).endswith(listed)


CHECKPOINT = {
    "model_type": "llama",
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


@pytest.mark.parametrize(
    ("quantization", "says"),
    [
        (
            {"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 128}},
            "llama.cpp does not run this format",
        ),
        (
            {"quantization_config": {"quant_method": "exl3", "bits": 4.0}},
            "in EXL3 (ExLlama's), which llama.cpp does not load",
        ),
        (
            {"quantization": {"bits": 4, "group_size": 64}},
            "in MLX (Apple's), which llama.cpp does not load",
        ),
        (
            {"quantization_config": {"quant_method": "fp8"}},
            "in FP8 (vLLM's and SGLang's), which llama.cpp does not load",
        ),
    ],
)
def test_another_programs_checkpoint_says_whose_it_is(
    quantization: dict[str, object], says: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CHECKPOINT | quantization))
    notes = " ".join(read_model(tmp_path).notes)
    assert says in notes
