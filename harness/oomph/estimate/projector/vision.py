"""A vision encoder's numbers: of the file, and set by the projector's kind.

Replays clip_model_loader::load_hparams of llama.cpp 0.5.0: how far patches are merged, how large an
image may become, and which size the encoder is warmed up with.
"""

from math import isqrt
from typing import Final

from oomph.architectures.projector import ProjectorSpec
from oomph.errors import ModelFileError
from oomph.frozen import frozen


@frozen
class Sizing:
    """How a kind of projector sizes images.

    `n_merge` patches a side become one token, as the file says under `merge_key`. `tokens` are the
    least and the most of an image that is resized freely, None for one that becomes a square of
    `image_size`, or up to `tiles` of them. `warmup_tokens` is what the encoder is warmed up with,
    None for that square. `batches` says that several images go through the encoder at once,
    `breaks_rows` that each row of tokens but the last ends with one more.
    """

    n_merge: int = 1
    merge_key: str = ""
    tokens: tuple[int, int] | None = None
    warmup_tokens: int | None = None
    tiles: int = 1
    batches: bool = False
    breaks_rows: bool = False


_FACTOR: Final = "vision.projector.scale_factor"
_MERGE: Final = "vision.spatial_merge_size"
_QWEN: Final = Sizing(n_merge=2, merge_key=_MERGE, tokens=(8, 4096), warmup_tokens=46 * 46)

SIZINGS: Final = {
    "mlp": Sizing(),
    "gemma3": Sizing(n_merge=4, merge_key=_FACTOR),
    "gemma4v": Sizing(
        n_merge=3, merge_key=_FACTOR, tokens=(70, 1120), warmup_tokens=256, batches=True
    ),
    "gemma4uv": Sizing(n_merge=3, merge_key=_FACTOR, tokens=(70, 1120), warmup_tokens=256),
    "qwen2vl_merger": _QWEN,
    "qwen2.5vl_merger": _QWEN,
    "qwen3vl_merger": _QWEN,
    "glm4v": _QWEN,
    "pixtral": Sizing(merge_key=_MERGE, tokens=(8, 1024), warmup_tokens=256, breaks_rows=True),
    "kimivl": Sizing(merge_key=_FACTOR, tokens=(8, 1024), warmup_tokens=256),
    "llama4": Sizing(merge_key=_FACTOR, tiles=10),
    "internvl": Sizing(merge_key=_FACTOR, tiles=13, batches=True),
}
"""By kind, as load_hparams sets it; kinds that are not here have no declared graph either."""

BATCH_TOKENS: Final = 1024
"""Tokens of images that go through an encoder at once where it takes several (--mtmd-batch-max-
tokens)."""


@frozen
class VisionSizes:
    """A vision encoder's numbers in pixels and counts; `warmup_size` is the side of the square
    image that llama.cpp reserves for at load, `max_pixels` the area of the largest image, 0 where
    every image becomes a square of `image_size`."""

    kind: str
    n_embd: int
    n_head: int
    d_head: int
    n_layer: int
    image_size: int
    patch_size: int
    n_merge: int
    min_pixels: int
    max_pixels: int
    warmup_size: int
    sizing: Sizing

    @property
    def token_side(self) -> int:
        """Pixels of a side of what becomes one token."""
        return self.patch_size * self.n_merge

    @property
    def largest_size(self) -> int:
        """Side of the largest square image that is encoded in one piece."""
        if not self.max_pixels:
            return self.image_size
        return max(isqrt(self.max_pixels) // self.token_side, 1) * self.token_side

    @property
    def token_range(self) -> tuple[int, int]:
        """The least and the most tokens of one image, all its pieces counted."""
        if self.sizing.tokens is None:
            each = self.tokens(self.image_size, self.image_size)
            return each, each * self.sizing.tiles
        area = self.token_side**2
        return self.min_pixels // area, self.max_pixels // area

    @property
    def max_batch(self) -> int:
        """Images that go through the encoder at once at most."""
        if not self.sizing.batches:
            return 1
        smallest = self.min_pixels // self.token_side**2 or self.tokens(
            self.image_size, self.image_size
        )
        return max(BATCH_TOKENS // max(smallest, 1), 1)

    def tokens(self, width: int, height: int) -> int:
        """Tokens that an encoded image of that size becomes (clip_n_output_tokens)."""
        columns, rows = width // self.token_side, height // self.token_side
        return columns * rows + (rows - 1 if self.sizing.breaks_rows else 0)


def vision_sizes(
    spec: ProjectorSpec, *, image_min_tokens: int | None = None, image_max_tokens: int | None = None
) -> VisionSizes:
    """The numbers of `spec`'s vision encoder with llama-server's limits of an image's tokens.

    ModelFileError where its kind is not in `SIZINGS`, or a key is missing.
    """
    sizing = SIZINGS.get(spec.vision_kind)
    if sizing is None:
        raise ModelFileError(
            f"{spec.source}: nothing is known of the encoder of projector {spec.vision_kind!r}"
        )
    n_embd, n_head = (
        spec.integer("vision.embedding_length"),
        spec.integer("vision.attention.head_count"),
    )
    patch, image = spec.integer("vision.patch_size"), spec.integer("vision.image_size")
    merge = spec.integer(sizing.merge_key, sizing.n_merge) if sizing.merge_key else sizing.n_merge
    if not (0 < patch < 1 << 16 and 0 < merge < 1 << 16 and 0 < n_head <= n_embd and image <= 8192):
        raise ModelFileError(
            f"{spec.source}: an encoder of {n_head} heads, width {n_embd}, patches of {patch} and "
            f"images of {image} pixels is none that clip.cpp loads"
        )
    if spec.vision_kind == "gemma4uv":
        patch, merge = patch * merge, 1
    low, high = sizing.tokens or (0, 0)
    low, high = (image_min_tokens or low, image_max_tokens or high) if sizing.tokens else (0, 0)
    area = (patch * merge) ** 2
    if high < low:
        raise ModelFileError(
            f"{spec.source}: image_max_tokens {high} is less than image_min_tokens {low}, which "
            "clip.cpp refuses"
        )
    warmup = isqrt(sizing.warmup_tokens) * patch * merge if sizing.warmup_tokens else image
    return VisionSizes(
        kind=spec.vision_kind,
        n_embd=n_embd,
        n_head=n_head,
        d_head=spec.integer("vision.attention.head_dim", 0) or n_embd // n_head,
        n_layer=spec.integer("vision.block_count"),
        image_size=image,
        patch_size=patch,
        n_merge=merge,
        min_pixels=low * area,
        max_pixels=high * area,
        warmup_size=warmup,
        sizing=sizing,
    )
