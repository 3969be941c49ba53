"""Fixtures that several rooms share."""

import gc
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

import gguf
from oomph.architectures.catalogue import catalogue_model
from oomph.cli import COLLECT_AFTER
from oomph.cuda.backend import CudaBackend, fetch_backend, installed_backend
from oomph.errors import ToolchainError
from oomph.measure.server_run import built_server
from oomph.models.synth import write_synthetic
from oomph.phantom.build import compiler

settings.register_profile(  # a busy machine is no fault
    "oomph", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("oomph")

# A shell starts its background jobs with SIGINT ignored, `nohup` with SIGHUP, and children inherit
# that: here all that ends a command does.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# On busy cores llama.cpp's threads would burn four times what they compute, waiting for each other.
os.environ["OMP_WAIT_POLICY"] = "passive"

gc.set_threshold(COLLECT_AFTER)  # as the command does, which many tests call in this process

Compile = Callable[..., Path]
ROOT = Path(__file__).resolve().parent.parent


def pytest_collection_finish() -> None:
    """Leave thousands of collected tests to the end: they are no garbage, and to go through them
    again and again took a third of an estimate's time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout's root."""
    return ROOT


@pytest.fixture(scope="session")
def cuda_backend() -> CudaBackend:
    """llama.cpp's CUDA backend for phantom cards, from the cache or by npm."""
    try:
        compiler()
    except ToolchainError as error:
        pytest.skip(str(error))
    try:
        return installed_backend()
    except ToolchainError:
        if shutil.which("npm") is None:
            pytest.skip("npm is needed to fetch the CUDA backend for the phantom card")
        return fetch_backend()


@pytest.fixture(scope="session")
def qwen3_30b(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Qwen3-30B-A3B in Q4_K_M: its exact shape, 18 GB that take a few MB."""
    spec = catalogue_model("qwen3-30b-a3b", "Q4_K_M")
    return write_synthetic(spec, tmp_path_factory.mktemp("sparse") / "qwen3-30b-a3b-q4_k_m.gguf")


@pytest.fixture(scope="session")
def llama_server() -> Path:
    """The llama-server of the wheel's own sources."""
    server = built_server()
    if server is None:
        pytest.skip(
            "llama-server is not built; `scripts/llama-tools llama-server` builds it in about ten "
            "minutes"
        )
    return server


@pytest.fixture(scope="session")
def compile_library() -> Compile:
    """`compile_library(path, source, soname=…, needs=[…])` makes a shared library and gives its
    path."""
    try:
        command = compiler()
    except ToolchainError as error:
        pytest.skip(str(error))

    def make(
        path: Path, source: str = "", *, soname: str | None = None, needs: tuple[Path, ...] = ()
    ) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = ["-shared", "-fPIC", "-Wl,--no-as-needed", f"-Wl,-soname,{soname or path.name}"]
        subprocess.run(
            [command, *flags, "-x", "c", "-", "-x", "none", *map(str, needs), "-o", str(path)],
            input=source,
            text=True,
            check=True,
        )
        return path

    return make


def write_small_model(
    path: Path,
    *,
    n_layer: int = 2,
    n_vocab: int = 48,
    endianess: gguf.GGUFEndian = gguf.GGUFEndian.LITTLE,
) -> Path:
    """A complete `llama` model of a few KiB, with a vocabulary, merges, a per-layer array and a
    chat template."""
    writer = gguf.GGUFWriter(path, "llama", endianess=endianess)
    writer.add_name("small")
    writer.add_block_count(n_layer)
    writer.add_context_length(2048)
    writer.add_embedding_length(64)
    writer.add_feed_forward_length(128)
    writer.add_head_count([4] * n_layer)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([f"token-{i}" for i in range(n_vocab)])
    writer.add_token_types([1] * n_vocab)
    writer.add_token_merges([f"to ken-{i}" for i in range(n_vocab)])
    writer.add_add_bos_token(True)
    writer.add_chat_template("{{ messages }}" * 8)
    rows = np.zeros((n_vocab, 64), dtype=np.float32)
    writer.add_tensor("token_embd.weight", rows)
    for il in range(n_layer):
        writer.add_tensor(f"blk.{il}.attn_norm.weight", np.ones(64, dtype=np.float32))
        writer.add_tensor(f"blk.{il}.attn_q.weight", np.zeros((64, 64), dtype=np.float16))
        quantized = gguf.quants.quantize(
            np.zeros((32, 64), dtype=np.float32), gguf.GGMLQuantizationType.Q8_0
        )
        writer.add_tensor(
            f"blk.{il}.attn_k.weight", quantized, raw_dtype=gguf.GGMLQuantizationType.Q8_0
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small complete model, not to be changed."""
    return write_small_model(tmp_path_factory.mktemp("model") / "small.gguf")


@pytest.fixture(scope="session")
def make_model() -> Callable[..., Path]:
    """`write_small_model`, for a test that wants one of its own."""
    return write_small_model


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("a small disk can only be mounted by root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)
