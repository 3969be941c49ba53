"""Types: the rules by example, their invariants, and llama-quantize itself as the judge."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomph.architectures.catalogue import catalogue_model
from oomph.architectures.quantize import tensor_types
from oomph.architectures.shapes import tensor_shapes
from oomph.architectures.spec import ModelSpec
from oomph.errors import UnknownNameError
from oomph.gguf.file_types import FILE_TYPES, canonical_quantization
from oomph.models.synth import write_synthetic

DRY_RUN = """
import ctypes, json, re, sys
import llama_cpp.llama_cpp as C
log = []
@C.llama_log_callback
def keep(level, text, _):
    log.append(text.decode(errors="replace"))
C.llama_log_set(keep, ctypes.c_void_p(0))
pattern = re.compile(
    r"\\d\\] +(\\S+) +- \\[.*?\\], type = +(\\w+), size =.*?MiB"
    r"(?: -> +[\\d.]+ MiB \\((\\w+)\\))?\\n")
types = {}
for name, number in json.loads(sys.argv[2]).items():
    log.clear()
    params = C.llama_model_quantize_default_params()
    params.ftype, params.dry_run, params.allow_requantize = number, True, True
    assert C.llama_model_quantize(sys.argv[1].encode(), b"not-written", ctypes.byref(params)) == 0
    found = pattern.findall("".join(log))
    types[name] = {tensor: (new or old).upper() for tensor, old, new in found}
print(json.dumps(types))
"""
"""Asks the installed llama.cpp what llama-quantize would make of a file, for many file types."""


def with_few_tokens(spec: ModelSpec) -> ModelSpec:
    """The model with a vocabulary that is quick to read; no rule looks at it."""
    few = {
        name: replace(spec.tensors[name], ne=(spec.n_embd, 1024))
        for name in ("token_embd.weight", "output.weight")
        if name in spec.tensors
    }
    return replace(spec, tensors={**spec.tensors, **few})


@pytest.mark.llama
@pytest.mark.parametrize(
    "name",
    [
        "llama-3.3-70b",
        "qwen2.5-0.5b",
        "mixtral-8x7b",
        "qwen3-30b-a3b",
        "gpt-oss-20b",
        "qwen3.6-27b",
        "glm-4.7-flash",
        "granite-4.0-h-tiny",
        "phi-3-mini",
        "gemma-3-1b",
        "gemma-3n-e2b",
        "glm-4.5-air",
        "nemotron-3-nano-30b-a3b",
    ],
)
def test_types_are_those_that_llama_quantize_chooses(name: str, tmp_path: Path) -> None:
    spec = with_few_tokens(catalogue_model(name, "F16"))
    shapes = [(tensor.name, tensor.ne) for tensor in spec.tensors.values()]
    file = write_synthetic(spec, tmp_path / "f16.gguf")
    numbers = {
        kind: number for kind, (number, _) in FILE_TYPES.items() if kind not in ("F32", "BF16")
    }
    done = subprocess.run(
        [sys.executable, "-c", DRY_RUN, file, json.dumps(numbers)], capture_output=True, check=True
    )
    chosen = json.loads(done.stdout)
    for kind in numbers:
        ours = {
            tensor: quant.name
            for tensor, quant in tensor_types(spec, shapes, kind, imatrix=False).items()
        }
        assert ours == chosen[kind], kind


def types(name: str, quantization: str, *, imatrix: bool | None = None) -> dict[str, str]:
    spec = catalogue_model(name, "F16")
    shapes = [(tensor.name, tensor.ne) for tensor in spec.tensors.values()]
    found = tensor_types(spec, shapes, quantization, imatrix=imatrix)
    return {tensor: quant.name for tensor, quant in found.items()}


def test_q4_k_m_gives_more_bits_to_some_blocks() -> None:
    chosen = types("qwen3-30b-a3b", "Q4_K_M")
    larger = [il for il in range(48) if chosen[f"blk.{il}.ffn_down_exps.weight"] == "Q6_K"]
    assert larger == [*range(6), *range(8, 42, 3), *range(42, 48)]
    assert chosen["output.weight"] == "Q6_K"
    assert chosen["token_embd.weight"] == chosen["blk.0.attn_q.weight"] == "Q4_K"
    assert chosen["blk.0.ffn_gate_inp.weight"] == chosen["blk.0.attn_norm.weight"] == "F32"


def test_row_that_no_block_divides_falls_back() -> None:
    chosen = types("smollm2-135m", "Q4_K_M")  # 576 is no multiple of 256, but of 32
    assert chosen["blk.5.ffn_up.weight"] == "Q5_0"
    assert chosen["blk.0.attn_v.weight"] == "Q8_0"
    assert chosen["token_embd.weight"] == "Q8_0"  # tied, so it is the output too


def test_importance_matrix_changes_the_first_eighth() -> None:
    assert types("llama-3.1-8b", "Q4_0", imatrix=True)["blk.3.ffn_down.weight"] == "Q4_1"
    assert types("llama-3.1-8b", "Q4_0")["blk.3.ffn_down.weight"] == "Q4_0"
    assert types("llama-3.1-8b", "IQ4_XS")["blk.3.ffn_down.weight"] == "IQ4_XS"
    assert types("llama-3.1-8b", "IQ4_XS", imatrix=False)["blk.3.ffn_down.weight"] == "Q5_K"


@given(
    kind=st.sampled_from(sorted(FILE_TYPES)),
    n_embd=st.integers(1, 40).map(lambda n: n * 16),
    n_layer=st.integers(1, 9),
    n_expert=st.sampled_from([0, 4, 8]),
    tied=st.booleans(),
)
def test_every_type_fits_its_rows(
    kind: str, n_embd: int, n_layer: int, n_expert: int, tied: bool
) -> None:
    keys = {
        "vocab_size": 512,
        "context_length": 4096,
        "block_count": n_layer,
        "embedding_length": n_embd,
        "feed_forward_length": 3 * n_embd,
        "attention.head_count": 4,
        "attention.head_count_kv": 1,
        "expert_count": n_expert,
    }
    model = ModelSpec(
        name="m",
        arch="llama",
        metadata={f"llama.{k}": v for k, v in keys.items()},
        tensors={},
        source="m",
    )
    shapes = tensor_shapes(model, extras=("tied_output",) if tied else ())
    chosen = tensor_types(model, shapes, kind)
    assert list(chosen) == [name for name, _ in shapes]
    for name, ne in shapes:
        assert ne[0] % chosen[name].block == 0
        assert len(ne) > 1 or chosen[name].name == "F32"


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("q4_k_m", "Q4_K_M"),
        ("Q4_K - Medium", "Q4_K_M"),
        ("Q2_K - Medium", "Q2_K"),
        ("MXFP4 MoE", "MXFP4"),
        ("MXFP4_MOE", "MXFP4"),
        ("IQ4_XS - 4.25 bpw", "IQ4_XS"),
        (" fp16 ", "F16"),
        ("Q5_K", "Q5_K_M"),
    ],
)
def test_usual_spellings(spelling: str, name: str) -> None:
    assert canonical_quantization(spelling) == name


def test_unknown_quantization_lists_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"'Q4_K_XL'.*Q4_K_M"):
        canonical_quantization("Q4_K_XL")
