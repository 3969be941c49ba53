"""Synthetic files: what is written is what was asked for, and llama.cpp takes it."""

import json
import subprocess
import sys
from dataclasses import replace
from math import sqrt
from pathlib import Path
from typing import Any, Literal

import pytest
from typer.testing import CliRunner

from oomph.architectures.catalogue import build_model, catalogue_model, catalogue_names
from oomph.architectures.from_gguf import read_model_file
from oomph.architectures.spec import ModelSpec
from oomph.cli.app import app
from oomph.errors import ConfigError, ModelFileError, StoreError
from oomph.gguf.file_types import FILE_TYPES
from oomph.gguf.ggml_types import QUANTS, QuantType
from oomph.gguf.header import Value
from oomph.models.synth import write_synthetic

N_VOCAB = 384

LOAD = """
import ctypes, json, sys
import llama_cpp.llama_cpp as C
@C.llama_log_callback
def quiet(level, text, _): pass
C.llama_log_set(quiet, ctypes.c_void_p(0))
for path in sys.argv[2:]:
    params = C.llama_model_default_params()
    if sys.argv[1] == "shape":
        params.no_alloc, params.load_mode = True, C.LLAMA_LOAD_MODE_NONE
    model = C.llama_model_load_from_file(path.encode(), params)
    assert model, path + " is refused"
    found = {"n_params": C.llama_model_n_params(model), "n_bytes": C.llama_model_size(model)}
    context_params = C.llama_context_default_params()
    context_params.n_ctx, context_params.n_threads = 256, 1
    context = C.llama_init_from_model(model, context_params)
    assert context, path + " gives no graph"
    if sys.argv[1] == "decode":
        batch = C.llama_batch_get_one((C.llama_token * 4)(1, 2, 3, 4), 4)
        assert C.llama_decode(context, batch) == 0
        logits = C.llama_get_logits_ith(context, -1)
        n_vocab = C.llama_vocab_n_tokens(C.llama_model_get_vocab(model))
        found["logits"] = [logits[i] for i in range(n_vocab)]
    C.llama_free(context)
    C.llama_model_free(model)
    print(json.dumps(found), flush=True)
"""


def load(how: Literal["shape", "decode"], *paths: Path) -> list[dict[str, Any]]:
    """What llama.cpp says of each file: by its shape alone, or after decoding four tokens."""
    done = subprocess.run(
        [sys.executable, "-c", LOAD, how, *paths], capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def tiny(arch: str, quantization: str, **hparams: Value) -> ModelSpec:
    """A model of four blocks whose random weights fit in a few MiB."""
    keys: dict[str, Value] = {
        "vocab_size": N_VOCAB,
        "context_length": 512,
        "block_count": 4,
        "embedding_length": 256,
        "feed_forward_length": 512,
        "attention.head_count": 4,
        "attention.head_count_kv": 2,
        "attention.layer_norm_rms_epsilon": 1e-6,
        "rope.dimension_count": 64,
        "rope.freq_base": 1e4,
    }
    keys |= {key.replace("__", "."): value for key, value in hparams.items()}
    return build_model(
        "tiny",
        arch,
        {f"{arch}.{key}": value for key, value in keys.items()},
        quantization,
        source="tiny",
    )


MOE: dict[str, Value] = {
    "expert_count": 8,
    "expert_used_count": 2,
    "expert_feed_forward_length": 256,
}


@pytest.mark.parametrize(
    "name", ["qwen3-30b-a3b", "gpt-oss-20b", "granite-4.0-h-tiny", "glm-4.5-air", "llama-3.2-1b"]
)
def test_header_read_back_is_the_catalogue_model(name: str, tmp_path: Path) -> None:
    spec = catalogue_model(name, "Q4_K_M")
    path = write_synthetic(spec, tmp_path / "model.gguf")
    back = read_model_file(path)
    assert back.tensors == spec.tensors
    assert list(back.tensors) == list(spec.tensors)
    assert (back.arch, back.name, back.n_vocab) == (spec.arch, spec.name, spec.n_vocab)
    assert back.metadata.items() >= {
        (key, value) for key, value in spec.metadata.items() if not isinstance(value, float)
    }
    for key, value in spec.metadata.items():
        if isinstance(value, float):
            assert back.metadata[key] == pytest.approx(value, rel=1e-6)
    assert (
        back.file_bytes
        == path.stat().st_size
        > sum(tensor.n_bytes for tensor in spec.tensors.values())
    )
    assert path.stat().st_blocks * 512 < 12 * 2**20  # the rest is a hole
    assert list(tmp_path.iterdir()) == [path]


def with_few_tokens(spec: ModelSpec) -> ModelSpec:
    """The model with a vocabulary that is quick to read, unless its graph needs the whole."""
    if spec.arch == "chameleon":
        return spec
    tensors = {
        name: replace(tensor, ne=(*tensor.ne[:-1], 1024))
        if tensor.ne[-1] == spec.n_vocab
        else tensor
        for name, tensor in spec.tensors.items()
    }
    return replace(
        spec, tensors=tensors, metadata={**spec.metadata, f"{spec.arch}.vocab_size": 1024}
    )


def one_of_each_family() -> list[str]:
    """The smallest model of the catalogue in each architecture, and two that differ from their
    family's smallest."""
    smallest: dict[str, ModelSpec] = {}
    for name in catalogue_names():
        spec = catalogue_model(name, "F16")
        if (
            len(spec.tensors) < len(smallest.get(spec.arch, spec).tensors)
            or spec.arch not in smallest
        ):
            smallest[spec.arch] = spec
    return sorted({*(spec.name for spec in smallest.values()), "mixtral-8x7b", "deepseek-v3"})


@pytest.mark.llama
def test_llama_cpp_loads_the_shape_of_every_family(tmp_path: Path) -> None:
    specs = [with_few_tokens(catalogue_model(name, "Q4_K_M")) for name in one_of_each_family()]
    paths = [write_synthetic(spec, tmp_path / f"{spec.name}.gguf") for spec in specs]
    found = load("shape", *paths)
    for spec, said in zip(specs, found, strict=True):
        assert said["n_params"] == sum(tensor.n_elements for tensor in spec.tensors.values()), (
            spec.name
        )
        assert said["n_bytes"] == sum(tensor.n_bytes for tensor in spec.tensors.values()), spec.name


@pytest.mark.llama
def test_random_weights_of_any_type_compute_what_a_model_could(tmp_path: Path) -> None:
    kinds = [kind for kind in FILE_TYPES if kind not in ("IQ1_M", "MXFP4")]
    specs = [tiny("llama", kind) for kind in kinds] + [
        tiny("qwen3moe", kind, **MOE) for kind in ("Q6_K", "MXFP4")
    ]
    paths = [
        write_synthetic(spec, tmp_path / f"{i}.gguf", weights="random")
        for i, spec in enumerate(specs)
    ]
    for spec, said in zip(specs, load("decode", *paths), strict=True):
        assert len(said["logits"]) == N_VOCAB
        spread = sqrt(sum(value * value for value in said["logits"]) / N_VOCAB)
        # a row times a normed vector; NaN and infinity fail too
        assert 0.3 < spread < 3, spec.metadata


def test_spec_of_another_file_is_written_with_this_file_s_alignment(tmp_path: Path) -> None:
    spec = tiny("llama", "Q8_0")
    other = replace(spec, metadata={**spec.metadata, "general.alignment": 4096})
    assert read_model_file(write_synthetic(other, tmp_path / "x.gguf")).tensors == spec.tensors


def test_random_weights_repeat_with_their_seed(tmp_path: Path) -> None:
    spec = tiny("llama", "Q4_K_M")
    data = [
        write_synthetic(spec, tmp_path / f"{i}.gguf", weights="random", seed=seed).read_bytes()
        for i, seed in enumerate((1, 1, 2))
    ]
    assert data[0] == data[1] != data[2]
    assert len(data[0]) == len(data[2])


def test_full_disk_is_said_before_anything_is_written(tmp_path: Path) -> None:
    huge = catalogue_model("deepseek-v3", "F32")
    with pytest.raises(
        ModelFileError, match=r"random weights take 2,\d+\.\d+ GiB and the disk has"
    ):
        write_synthetic(huge, tmp_path / "huge.gguf", weights="random")
    assert not list(tmp_path.iterdir())


def test_types_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    spec = tiny("llama", "F16")
    foreign = {
        name: replace(t, quant=QuantType(name="AWQ", number=-1, block=t.ne[0], block_bytes=t.ne[0]))
        for name, t in spec.tensors.items()
    }
    with pytest.raises(ConfigError, match="no AWQ weights"):
        write_synthetic(replace(spec, tensors=foreign), tmp_path / "x.gguf")
    no_factor = {
        name: replace(t, quant=QUANTS["IQ1_M"])
        for name, t in spec.tensors.items()
        if "ffn" in name and t.ne[1:]
    }
    with pytest.raises(ConfigError, match="IQ1_M"):
        write_synthetic(
            replace(
                spec, tensors=no_factor | {"token_embd.weight": spec.tensors["token_embd.weight"]}
            ),
            tmp_path / "x.gguf",
            weights="random",
        )
    assert not list(tmp_path.iterdir())


def test_unwritable_path_is_an_error_of_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        write_synthetic(tiny("llama", "F16"), tmp_path / "missing" / "x.gguf")


def test_command_writes_a_file_of_a_published_shape(tmp_path: Path) -> None:
    path = tmp_path / "smollm.gguf"
    done = CliRunner().invoke(
        app, ["synth", "smollm2-135m:Q8_0", str(path), "--random", "--seed", "7"]
    )
    assert done.exit_code == 0, done.output
    assert "272 tensors" in done.output
    assert read_model_file(path).tensors == catalogue_model("smollm2-135m", "Q8_0").tensors
