"""A bound of an encoder's compute buffer at load, where its graph is not declared."""

from typing import Final

from oomph.architectures.projector import ProjectorSpec

LARGEST_FACTOR: Final = 6.4
"""The most that a known kind reserves, in feed-forward activations of its patches (F32): 704.79 MiB
of Qwen2.5-VL, whose attention has a mask; the others lie between 1.6 and 4.1 (tests/data/
projectors.jsonl)."""
WARMUP_PATCHES: Final = 46 * 46 * 4
"""The most patches that a known kind is warmed up with (Qwen-VL)."""


def rough_encoder(spec: ProjectorSpec) -> int:
    """Bytes that the encoder reserves at most as it is loaded; 0 for one that only hears, of which
    nothing is known."""
    if not spec.has_vision:
        return 0
    n_embd = spec.integer("vision.embedding_length", 0)
    n_ff = spec.integer("vision.feed_forward_length", 0) or 4 * n_embd
    patch = spec.integer("vision.patch_size", 1) or 1
    n_patches = min((spec.integer("vision.image_size", 0) // patch) ** 2, WARMUP_PATCHES)
    return int(LARGEST_FACTOR * 4 * n_ff * (n_patches or WARMUP_PATCHES))
