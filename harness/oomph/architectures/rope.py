"""How far a model's positions reach: its native context, and the RoPE scaling beyond it.

Stands apart from `spec` because the answer is half metadata, half what a model's makers
publish: Qwen3's files say a context of 40,960, and its makers' YaRN starts from 32,768. What no
maker published is marked as a convention: llama.cpp computes it, and nobody has promised that the
model still makes sense there. Memory does not depend on it.
"""

import struct
from math import floor
from typing import Final

from oomph.architectures.families import family_of
from oomph.architectures.family import PublishedYarn
from oomph.architectures.spec import ModelSpec
from oomph.config import padded_context
from oomph.errors import ConfigError
from oomph.frozen import frozen
from oomph.units import count

CONVENTIONAL_FACTOR: Final = 4.0
"""The factor that makers publish where they publish one; further nobody vouches for, fine-tuned
models apart."""
MAX_FACTOR: Final = 1 << 16
"""Larger factors in metadata are no scaling that a model has."""


@frozen
class RopeScaling:
    """RoPE scaling as llama.cpp takes it: `type` is `yarn` or `linear`, `factor` its --rope-scale
    (which replaces the file's own factor), `original_context_length` its --yarn-orig-ctx in tokens.

    `is_published` says whether the model's makers (or the file) vouch for it; `reason` says where
    it comes from.
    """

    type: str
    factor: float
    original_context_length: int
    is_published: bool
    reason: str

    @property
    def n_ctx(self) -> int:
        """Tokens that the scaled positions cover."""
        return int(self.original_context_length * self.factor)


def has_positions(spec: ModelSpec) -> bool:
    """Whether the model's positions are bounded at all; recurrent models and those without RoPE
    need no scaling."""
    rope = family_of(spec.arch).rope
    layers = rope.layers if rope.n_layer in (0, spec.n_layer) else "none"
    if layers == "finetuned":  # llama.cpp reads this key as "uses RoPE", true where it is missing
        return bool(spec.metadata.get(f"{spec.arch}.rope.scaling.finetuned", True))
    return layers != "none"


def own_scaling(spec: ModelSpec) -> RopeScaling | None:
    """The scaling that the file itself carries; None where it has none, or none that a factor
    describes."""
    kind, key = spec.metadata.get(f"{spec.arch}.rope.scaling.type", "linear"), "rope.scaling.factor"
    factor = _factor(spec, key if f"{spec.arch}.{key}" in spec.metadata else "rope.scale_linear")
    if kind not in ("linear", "yarn") or factor <= 1.0:
        return None
    original = _whole(spec, "rope.scaling.original_context_length") or round(
        spec.n_ctx_train / factor
    )
    return RopeScaling(
        type=str(kind),
        factor=factor,
        original_context_length=original,
        is_published=True,
        reason=f"the file's own metadata: {kind} by {factor:g} from {count(original)} tokens",
    )


def _factor(spec: ModelSpec, key: str) -> float:
    value = spec.metadata.get(f"{spec.arch}.{key}")
    return float(value) if isinstance(value, int | float) and 1.0 <= value <= MAX_FACTOR else 1.0


def _whole(spec: ModelSpec, key: str) -> int:
    value = spec.metadata.get(f"{spec.arch}.{key}")
    return value if isinstance(value, int) and 1 <= value < 1 << 31 else 0


def native_context(spec: ModelSpec) -> int:
    """Tokens that the model reaches as its file is, without a flag: context_length, or what its own
    YaRN covers.

    Converters keep context_length where a config.json adds YaRN, so a file can reach further than
    it says.
    """
    own = own_scaling(spec)
    return max(spec.n_ctx_train, own.n_ctx if own and own.type == "yarn" else 0)


def longest_extension(spec: ModelSpec) -> RopeScaling | None:
    """The furthest scaling that its makers publish, else four times by convention; None where there
    is no more.

    No more there is for a file that carries a scaling of its own, for learned positions and for
    none.
    """
    if published := _published(spec):
        return _yarn(spec, published.original, published.factor, published)
    if (
        not has_positions(spec)
        or _has_position_table(spec)
        or own_scaling(spec)
        or _has_frequency_factors(spec)
    ):
        return None
    return _yarn(spec, spec.n_ctx_train, CONVENTIONAL_FACTOR, None)


def extension(spec: ModelSpec, n_ctx: int) -> RopeScaling | None:
    """The scaling that `n_ctx` tokens need; None where the file reaches that far, or needs no
    scaling.

    The factor is the smallest that covers n_ctx, for a static factor costs quality at every length.
    ConfigError for a model with a table of learned positions.
    """
    n_ctx = padded_context(n_ctx)
    if n_ctx <= native_context(spec) or not has_positions(spec):
        return None
    if _has_position_table(spec):
        raise ConfigError(
            f"{spec.name} has learned positions for {count(spec.n_ctx_train)} tokens, which no "
            f"RoPE scaling extends; ask for n_ctx {count(spec.n_ctx_train)} or less"
        )
    own = own_scaling(spec)
    if own:
        factor = _smallest_factor(n_ctx, own.original_context_length, own.factor)
        return RopeScaling(
            type=own.type,
            factor=factor,
            original_context_length=own.original_context_length,
            is_published=False,
            reason=f"a convention, no promise: the file's own {own.type} by {own.factor:g} reaches "
            f"{count(native_context(spec))} tokens",
        )
    published = _published(spec)
    original = published.original if published else spec.n_ctx_train
    return _yarn(spec, original, _smallest_factor(n_ctx, original), published)


def uncapped_context_length(spec: ModelSpec, n_ctx: int) -> int | None:
    """The context_length to override so that llama-server gives a slot `n_ctx` tokens; None where
    it does so anyway.

    llama-server caps its slots at context_length, which it takes anew for a YaRN factor that is not
    the file's own. Left are files whose own scaling reaches further than they say, linear scaling,
    and models without positions.
    """
    n_ctx = padded_context(n_ctx)
    if n_ctx <= spec.n_ctx_train:
        return None
    scaling = extension(spec, n_ctx)
    return None if scaling and scaling.type == "yarn" else n_ctx


def _published(spec: ModelSpec) -> PublishedYarn | None:
    if own_scaling(spec):
        return None
    return next(
        (
            entry
            for entry in family_of(spec.arch).yarn
            if entry.context_length == spec.n_ctx_train and spec.n_embd >= entry.min_embedding
        ),
        None,
    )


def _yarn(
    spec: ModelSpec, original: int, factor: float, published: PublishedYarn | None
) -> RopeScaling:
    vouched = published is not None and factor <= published.factor
    if _has_frequency_factors(spec):
        reason = (
            f"a convention, no promise: its own frequency factors reach {count(original)} tokens"
        )
    elif published is None:
        reason = (
            f"a convention, no promise: {count(original)} is the trained context, and its makers "
            "publish no YaRN"
        )
    elif vouched:
        reason = f"published for this family: {published.source}"
    else:
        reason = f"a convention, no promise: {published.source} ends at factor {published.factor:g}"
    return RopeScaling(
        type="yarn",
        factor=factor,
        original_context_length=original,
        is_published=vouched,
        reason=reason,
    )


def _smallest_factor(n_ctx: int, original: int, own: float = 1.0) -> float:
    """The smallest factor, in steps of a quarter of the file's `own`, by which `original` tokens
    reach `n_ctx` in llama.cpp's floats: it divides by 1 / factor (llama_init_from_model)."""
    steps = max(5, floor(4 * n_ctx / (original * own)))
    while int(_float32(original / _float32(1 / _float32(own * steps / 4)))) < n_ctx:
        steps += 1
    return own * steps / 4


def _float32(value: float) -> float:
    """`value` rounded to a float of C."""
    return float(struct.unpack("f", struct.pack("f", value))[0])


def _has_position_table(spec: ModelSpec) -> bool:
    return "position_embd.weight" in spec.tensors


def _has_frequency_factors(spec: ModelSpec) -> bool:
    """Whether a tensor of factors scales the frequencies one by one (Llama 3.1, LongRoPE)."""
    return any("rope_f" in name for name in spec.tensors)


@frozen
class Positions:
    """How far a model's positions go: by itself, and with RoPE scaling (None where there is
    none)."""

    native: int
    extended: int | None
    is_published: bool

    @property
    def furthest(self) -> int:
        """Either, rounded up as llama.cpp rounds a context."""
        return padded_context(self.extended or self.native)


def positions(model: ModelSpec) -> Positions:
    """What the metadata and the model's makers say of its context."""
    scaling = longest_extension(model)
    return Positions(
        native=native_context(model),
        extended=scaling.n_ctx if scaling else None,
        is_published=scaling is not None and scaling.is_published,
    )
