"""A projector's bytes against those that llama.cpp's own clip.cpp allocated on a phantom card.

The rows are of bench/peers/projector_sizes.py: compute buffers as printed, in MiB, and what the
card counted in all, in bytes, at load and once the largest image was encoded.
"""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from oomph.architectures.projector_catalogue import published_projector
from oomph.errors import ModelFileError
from oomph.estimate.projector.memory import ImageSize, ProjectorMemory
from oomph.gpus import gpu
from oomph.units import MIB

ROWS: Final[list[dict[str, Any]]] = [
    json.loads(line)
    for line in (Path(__file__).parents[2] / "data" / "projectors.jsonl").read_text().splitlines()
]
PRINTED_MIB: Final = 0.0051


def memory_of(row: dict[str, Any]) -> ProjectorMemory:
    return ProjectorMemory(
        published_projector(row["model"], row.get("precision", "f16")),
        row["device"],
        flash_attn=row.get("flash_attn", "auto"),
        image_max_tokens=row.get("image_max_tokens"),
    )


@pytest.mark.parametrize("row", ROWS, ids=lambda row: "-".join(map(str, list(row.values())[:4])))
def test_projector_takes_what_clip_allocates(row: dict[str, Any]) -> None:
    memory = memory_of(row)
    side = memory.sizes.warmup_size
    size = ImageSize(width=row.get("width", side), height=row.get("height", side))
    told = memory.at_load() if size == memory.warmup else memory.of_image(size)
    assert (told.flash_attn, told.n_splits, told.n_nodes) == (
        row["fused"],
        row["splits"],
        row["nodes"],
    )
    for device, n_mib in row["compute_mib"].items():
        assert told.bytes[device] / MIB == pytest.approx(n_mib, abs=PRINTED_MIB)
    if "card_bytes" in row:
        assert memory.weight_bytes["CUDA0"] + told.bytes["CUDA0"] == row["card_bytes"]
    if "encoded_bytes" in row:
        grown = memory.of_largest().bytes["CUDA0"] + memory.pool_bytes(gpu("RTX 3090"))
        assert memory.weight_bytes["CUDA0"] + grown == row["encoded_bytes"]


@pytest.mark.parametrize("row", ROWS[::5], ids=lambda row: row["model"])
def test_image_becomes_as_many_tokens_as_clip_counts(row: dict[str, Any]) -> None:
    sizes = memory_of(row).sizes
    side = sizes.warmup_size
    assert sizes.tokens(row.get("width", side), row.get("height", side)) == row["tokens"]


def test_largest_image_takes_more_than_the_warm_up_where_sizes_are_free() -> None:
    memory = ProjectorMemory(published_projector("qwen3.6-27b"), "CUDA0")
    assert memory.of_largest().bytes["CUDA0"] > memory.at_load().bytes["CUDA0"]
    limited = ProjectorMemory(published_projector("qwen3.6-27b"), "CUDA0", image_max_tokens=1024)
    assert limited.sizes.largest_size == 1024
    assert limited.of_largest().bytes["CUDA0"] < memory.of_largest().bytes["CUDA0"]


def test_fixed_image_is_never_larger_than_the_warm_up() -> None:
    memory = ProjectorMemory(published_projector("gemma-3-4b"), "CUDA0")
    assert memory.of_largest() == memory.at_load()


def test_limits_that_clip_refuses_are_refused() -> None:
    memory = ProjectorMemory(published_projector("gemma-4-31b"), "CUDA0", image_min_tokens=2000)
    with pytest.raises(ModelFileError, match="image_max_tokens 1120 is less than"):
        memory.at_load()
