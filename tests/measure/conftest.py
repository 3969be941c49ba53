"""A model of a few thousand weights that llama.cpp really runs, and children that only speak the
worker's protocol."""

from collections.abc import Callable
from pathlib import Path

import pytest

from oomph.architectures.spec import ModelSpec
from oomph.gguf.ggml_types import QUANTS
from oomph.gguf.header import TensorInfo
from oomph.measure.sweep import Sweep
from oomph.models.synth import write_synthetic

N_EMBD, N_FF, N_LAYER, N_EXPERT, N_VOCAB = 64, 64, 2, 4, 300

SPEAKER = """
import json, os, signal, subprocess, sys, time
replies = os.fdopen(int(sys.argv[1]), "w")
job = json.loads(sys.stdin.readline())
def say(event, **values):
    replies.write(json.dumps({"event": event, **values}) + "\\n")
    replies.flush()
def log(text):
    sys.stderr.write(text + "\\n")
    sys.stderr.flush()
def report(n_ctx):
    log(f"llama_context: n_ctx                 = {n_ctx}")
def load():
    say("ready")
    log(f"print_info: n_expert_used         = {job['n_expert_used'] or 0}")
    say("loaded", load_ns=1)
def points():
    for line in sys.stdin:
        point = json.loads(line)
        yield point
        sys.stdin.readline()
        say("done", quality=None)
def measured(point):
    report(point["config"]["n_ctx"])
    say("context", context_ns=1)
    timing = {"test": "pp1", "n_tokens": 1, "samples_ns": [point["config"]["n_ctx"]]}
    say("measured", timings=[timing])
"""


@pytest.fixture(scope="session")
def tiny_moe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mixture of four experts with random weights, trained for nothing: milliseconds a prompt."""
    shapes: dict[str, tuple[int, ...]] = {"token_embd": (N_EMBD, N_VOCAB), "output_norm": (N_EMBD,)}
    for layer in range(N_LAYER):
        block = f"blk.{layer}"
        shapes |= {f"{block}.{name}": (N_EMBD,) for name in ("attn_norm", "ffn_norm")}
        shapes |= {
            f"{block}.{name}": (N_EMBD, N_EMBD)
            for name in ("attn_q", "attn_k", "attn_v", "attn_output")
        }
        shapes |= {
            f"{block}.{name}": (N_EMBD, N_FF, N_EXPERT) for name in ("ffn_gate_exps", "ffn_up_exps")
        }
        shapes |= {
            f"{block}.ffn_gate_inp": (N_EMBD, N_EXPERT),
            f"{block}.ffn_down_exps": (N_FF, N_EMBD, N_EXPERT),
        }
    tensors = [
        TensorInfo(name=f"{name}.weight", ne=ne, quant=QUANTS["F32"], offset=0)
        for name, ne in shapes.items()
    ]
    spec = ModelSpec(
        name="tiny",
        arch="llama",
        source="test",
        tensors={tensor.name: tensor for tensor in tensors},
        metadata={
            "general.architecture": "llama",
            "general.name": "tiny",
            "llama.block_count": N_LAYER,
            "llama.embedding_length": N_EMBD,
            "llama.feed_forward_length": N_FF,
            "llama.context_length": 4096,
            "llama.attention.head_count": 2,
            "llama.attention.head_count_kv": 2,
            "llama.attention.layer_norm_rms_epsilon": 1e-5,
            "llama.rope.dimension_count": N_EMBD // 2,
            "llama.expert_count": N_EXPERT,
            "llama.expert_used_count": 2,
            "llama.vocab_size": N_VOCAB,
        },
    )
    return write_synthetic(spec, tmp_path_factory.mktemp("model") / "tiny.gguf", weights="random")


@pytest.fixture(scope="session")
def tiny_mamba(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recurrent model with random weights: its state cannot be cut, only saved and restored."""
    n_inner, n_state, n_conv, n_dt = 2 * N_EMBD, 16, 4, 4
    block = {
        "attn_norm.weight": (N_EMBD,),
        "ssm_in.weight": (N_EMBD, 2 * n_inner),
        "ssm_conv1d.weight": (n_conv, n_inner),
        "ssm_conv1d.bias": (n_inner,),
        "ssm_x.weight": (n_inner, n_dt + 2 * n_state),
        "ssm_dt.weight": (n_dt, n_inner),
        "ssm_dt.bias": (n_inner,),
        "ssm_a": (n_state, n_inner),
        "ssm_d": (n_inner,),
        "ssm_out.weight": (n_inner, N_EMBD),
    }
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (N_EMBD, N_VOCAB),
        "output_norm.weight": (N_EMBD,),
    }
    shapes |= {f"blk.{layer}.{name}": ne for layer in range(N_LAYER) for name, ne in block.items()}
    spec = ModelSpec(
        name="tiny-mamba",
        arch="mamba",
        source="test",
        tensors={
            name: TensorInfo(name=name, ne=ne, quant=QUANTS["F32"], offset=0)
            for name, ne in shapes.items()
        },
        metadata={
            "general.architecture": "mamba",
            "general.name": "tiny-mamba",
            "mamba.block_count": N_LAYER,
            "mamba.embedding_length": N_EMBD,
            "mamba.feed_forward_length": 0,
            "mamba.context_length": 4096,
            "mamba.attention.head_count": 0,
            "mamba.attention.layer_norm_rms_epsilon": 1e-5,
            "mamba.ssm.conv_kernel": n_conv,
            "mamba.ssm.inner_size": n_inner,
            "mamba.ssm.state_size": n_state,
            "mamba.ssm.time_step_rank": n_dt,
            "mamba.vocab_size": N_VOCAB,
        },
    )
    return write_synthetic(spec, tmp_path_factory.mktemp("model") / "mamba.gguf", weights="random")


@pytest.fixture
def speaker(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a child that speaks the worker's protocol and then does what `body` says."""

    def write(body: str) -> Path:
        path = tmp_path / "speaker.py"
        path.write_text(SPEAKER + body)
        return path

    return write


@pytest.fixture
def make_sweep(tiny_moe: Path) -> Callable[[str], Sweep]:
    """A sweep of the tiny model from a few lines of TOML."""

    def make(text: str) -> Sweep:
        return Sweep.parse(f'name = "test"\nmodel = "{tiny_moe}"\n{text}')

    return make
