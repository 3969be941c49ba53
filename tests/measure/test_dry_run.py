"""llama.cpp's own count: what the wheel counts, and what a library that is none is told."""

import ctypes
from pathlib import Path

import pytest

from oomph.architectures.catalogue import catalogue_model
from oomph.config import RunConfig
from oomph.errors import ToolchainError
from oomph.measure.dry_run import Llama, dry_run, read_counted
from oomph.measure.worker.loading import StageError
from oomph.measure.worker.other_build import read_structures
from oomph.models.synth import write_synthetic

HEADER = """
struct llama_model_params { ggml_backend_dev_t * devices; int32_t n_gpu_layers; /* a */
    enum llama_split_mode split_mode; llama_progress_callback progress_callback; // b
    const float * tensor_split; bool no_alloc; };
struct llama_context_params { uint32_t n_ctx; float rope_freq_base; size_t moe_cache_size; };
"""
MODEL = catalogue_model("smollm2-135m", "Q8_0")
CONFIG = RunConfig(n_ctx=2048, n_devices=0)


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dry") / "model.gguf"
    write_synthetic(MODEL, path)
    return path


def test_a_header_gives_the_structures_of_its_build() -> None:
    found = read_structures(HEADER)
    names = [name for name, _ in found["llama_model_params"]._fields_]
    assert names[:3] == ["devices", "n_gpu_layers", "split_mode"]
    assert dict(found["llama_context_params"]._fields_)["moe_cache_size"] is ctypes.c_size_t
    with pytest.raises(StageError, match="no struct llama_context_params"):
        read_structures(HEADER.replace("llama_context_params", "other"))
    with pytest.raises(StageError, match="of no known kind"):
        read_structures(HEADER.replace("float rope", "half rope"))


def test_the_lines_of_a_context_are_told_apart_from_states() -> None:
    counted = read_counted(
        [
            "llama_kv_cache:        CPU KV buffer size =     0.00 MiB",
            "llama_kv_cache: size =  128.00 MiB (  4096 cells,   8 layers,  1/1 seqs), K (f16)",
            "llama_memory_recurrent:        CPU RS buffer size =    50.25 MiB",
            "llama_memory_recurrent: size =   50.25 MiB (     1 cells,  32 layers,  1 seqs",
            "sched_reserve:        CPU compute buffer size =   545.02 MiB",
        ]
    )
    assert (counted.kv_cache_mib, counted.recurrent_mib) == (128.0, {"CPU": 50.25})
    assert counted.compute_mib == {"CPU": 545.02}


@pytest.mark.llama
def test_the_wheel_counts_several_contexts_of_one_load(model_file: Path) -> None:
    small, large = dry_run(model_file, MODEL.arch, [CONFIG, CONFIG.with_(n_ctx=8192)])
    assert 0 < small.kv_cache_mib * 4 == large.kv_cache_mib
    assert {*small.compute_mib} == {"CPU"}


@pytest.mark.llama
def test_what_llama_cpp_refuses_is_one_sentence(tmp_path: Path, model_file: Path) -> None:
    with pytest.raises(ToolchainError, match="refuses the dry run"):
        list(dry_run(tmp_path / "none.gguf", MODEL.arch, [CONFIG]))
    with pytest.raises(ToolchainError, match=r"did not answer in 0 s before the dry run"):
        list(dry_run(model_file, MODEL.arch, [CONFIG], timeout_s=0.0))


def test_a_library_that_is_none_is_one_sentence(tmp_path: Path, model_file: Path) -> None:
    header, library = tmp_path / "llama.h", tmp_path / "libllama.so"
    header.write_text(HEADER)
    library.write_text("no library")
    llama = Llama(library=library, header=header)
    with pytest.raises(ToolchainError, match=r"library does not load: .*libllama.so"):
        list(dry_run(model_file, MODEL.arch, [CONFIG], llama=llama))
    missing = Llama(library=library, header=tmp_path / "other.h")
    with pytest.raises(ToolchainError, match=r"other\.h"):
        list(dry_run(model_file, MODEL.arch, [CONFIG], llama=missing))
