"""`oomph launch`: what is written, what is refused, and a check from end to end on the phantom
card."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from oomph.cuda.backend import CudaBackend

Oomph = Callable[..., tuple[int, str, str]]
MODEL = "qwen3-30b-a3b:Q4_K_M"


@pytest.fixture
def launch(oomph: Oomph, tmp_path: Path) -> Oomph:
    def run(*args: object) -> tuple[int, str, str]:
        return oomph("launch", MODEL, "--out", tmp_path / "out", "--calibration", "none", *args)

    return run


def test_files_say_what_was_chosen_and_the_script_can_be_run(launch: Oomph, tmp_path: Path) -> None:
    code, out, err = launch(
        "--n-ctx", "90k", "--n-expert-used", 10, "--gpu", "RTX 4090", "--model-path", "/m/q.gguf"
    )
    assert code == 0, err
    assert "It fits NVIDIA GeForce RTX 4090" in out
    script = tmp_path / "out" / "llama-server.sh"
    assert os.stat(script).st_mode & stat.S_IXUSR
    text = script.read_text()
    assert "--model /m/q.gguf" in text
    assert "--cache-type-k f16" in text
    assert "--n-cpu-moe" in text
    assert "--rope-scale 2.75" in text
    assert "Ollama cannot be told the 10 active experts" in out
    assert "tokens of a slot: 90,000" in out
    assert "predicted speed: prefill" in out
    assert {"NOTES.md", "koboldcpp.sh", "models.ini"} <= {
        path.name for path in (tmp_path / "out").iterdir()
    }


def test_what_is_beside_the_model_is_loaded_by_llama_server_alone(
    oomph: Oomph, tmp_path: Path
) -> None:
    asked = ("--gpu", "RTX 5090", "--n-ctx", 8192, "--out", tmp_path, "--mmproj", "f16")
    code, out, err = oomph(
        "launch", "gemma-3-12b:Q4_K_M", *asked, "--no-mmproj-offload", "--image-max-tokens", 512
    )
    assert code == 0, err
    script = (tmp_path / "llama-server.sh").read_text()
    assert "--mmproj MMPROJ.gguf" in script
    assert "--no-mmproj-offload" in script
    assert "--image-max-tokens 512" in script
    assert "koboldcpp.sh: what is loaded beside the model (mmproj) is not written" in out


def test_what_does_not_fit_is_refused_with_what_would_and_written_by_force(
    launch: Oomph, tmp_path: Path
) -> None:
    asked = (
        "--n-ctx",
        90_000,
        "--gpu",
        "RTX 4090",
        "--model-path",
        "/m/q.gguf",
        "-ctk",
        "f16",
        "-ctv",
        "f16",
        "-ncmoe",
        0,
    )
    code, _, err = launch(*asked)
    assert code == 2
    assert "It does NOT fit NVIDIA GeForce RTX 4090" in err
    assert "MiB short); n_ctx " in err
    assert "would have fitted" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()
    assert launch(*asked, "--force")[0] == 0
    assert "It does NOT fit" in (tmp_path / "out" / "llama-server.sh").read_text()


def test_a_file_of_another_configuration_does_not_stay(launch: Oomph, tmp_path: Path) -> None:
    asked = ("--gpu", "RTX PRO 6000 Blackwell", "--model-path", "/m/q.gguf")
    assert launch("--n-ctx", 90_000, *asked)[0] == 0
    assert (tmp_path / "out" / "config.rope_scaling.json").exists()
    code, out, _ = launch("--n-ctx", 8192, *asked)
    assert code == 0
    assert "left out: config.rope_scaling.json: n_ctx needs no RoPE scaling" in out
    assert not (tmp_path / "out" / "config.rope_scaling.json").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--gpu", "RTX 4090", "--check"), "say where its file is, with --model-path"),
        (("--gpu", "RTX 4090", "--model-path", "/m/a\nb.gguf"), "rename the model"),
        (
            ("--gpu", "RTX 4090", "--model-path", "/m.gguf", "--profile", "best"),
            "no profile 'best'",
        ),
        (
            ("--gpu", "RTX 4090", "--model-path", "/m.gguf", "--check", "--server", "/none"),
            "/none cannot be run",
        ),
        (
            ("--gpu", "RTX 4090", "--model-path", "/m.gguf", "--n-expert-used", "25"),
            "aborts with 25 active experts",
        ),
    ],
)
def test_what_cannot_be_is_one_sentence(launch: Oomph, args: tuple[str, ...], message: str) -> None:
    code, _, err = launch("--n-ctx", 4096, *args)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.phantom
@pytest.mark.llama
def test_a_check_starts_the_script_and_shows_what_it_kept(
    launch: Oomph, cuda_backend: CudaBackend, llama_server: Path
) -> None:
    asked = (
        "--n-ctx",
        90_000,
        "--n-expert-used",
        10,
        "--phantom",
        "RTX PRO 6000 Blackwell",
        "--server",
        llama_server,
    )
    code, out, err = launch(*asked, "--check")
    assert code == 0, err
    assert "1 × 90,112, over HTTP 90,112" in out
    assert "NO" not in out.split()
    assert "which computes nothing" in out


@pytest.mark.phantom
@pytest.mark.llama
@pytest.mark.parametrize(
    ("cards", "flags", "devices"),
    [
        ("RTX 4090,RTX 4090", (), ("CUDA0", "CUDA1")),
        ("5090,3080", ("-ncmoe", 4), ("CUDA0", "CUDA1")),
        ("3080,2x3060,5090", ("-dev", "CUDA3,CUDA1"), ("CUDA3", "CUDA1")),
    ],
)
def test_a_check_holds_every_card_to_its_promise(
    launch: Oomph,
    cuda_backend: CudaBackend,
    llama_server: Path,
    cards: str,
    flags: tuple[object, ...],
    devices: tuple[str, ...],
) -> None:
    asked = ("--n-ctx", 8192, "--phantom", cards, "--server", llama_server)
    code, out, err = launch(*asked, *flags, "--check")
    assert code == 0, (out, err)
    assert "NO" not in out.split()
    assert all(f"{device} KV cache, MiB" in out for device in devices)


@pytest.mark.phantom
@pytest.mark.llama
def test_a_check_of_a_broken_promise_fails(
    launch: Oomph, cuda_backend: CudaBackend, llama_server: Path
) -> None:
    asked = (
        "--n-ctx",
        90_000,
        "--phantom",
        "small:20000:8.9:100",
        "-ctk",
        "f16",
        "-ctv",
        "f16",
        "-ncmoe",
        0,
    )
    code, out, _ = launch(*asked, "--server", llama_server, "--check", "--force")
    assert code == 1
    assert "oom_kv" in out


def test_a_model_that_nobody_named_a_file_of_has_a_stand_in(launch: Oomph, tmp_path: Path) -> None:
    code, out, _ = launch("--n-ctx", 4096, "--gpu", "RTX 4090")
    assert code == 0
    assert "MODEL.gguf stands for the model's file: put its path there" in out
    assert "--model MODEL.gguf" in (tmp_path / "out" / "llama-server.sh").read_text()
