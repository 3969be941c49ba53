"""What a benchmark asks the real llama.cpp with: its built server, and a model's sparse file."""

from pathlib import Path

from oomph.architectures.source import read_model
from oomph.measure.server_run import built_server
from oomph.models.synth import write_synthetic


def server_program() -> Path:
    """The llama-server that was built last; SystemExit, saying how to build it, where there is
    none."""
    server = built_server()
    if server is None:
        raise SystemExit("scripts/llama-tools builds llama.cpp's programs and libraries")
    return server


def sparse_file(model: str, folder: Path) -> Path:
    """The sparse file of a model of the catalogue in `folder`, written if it is not there."""
    path = folder / f"{model.replace(':', '-')}.gguf"
    if not path.exists():
        write_synthetic(read_model(model), path)
    return path
