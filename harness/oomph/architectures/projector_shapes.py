"""Every tensor of a published projector by its kind, and its type in a converted file."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from oomph.frozen import frozen
from oomph.gguf.ggml_types import QUANTS, QuantType

Named = tuple[str, tuple[int, ...]]
"""A tensor's name and dimensions."""


@frozen
class Tower:
    """A vision encoder's widths, read of `clip.vision.*`; `n_out` is the model's width,
    `deepstack` the layers that the model's first layers read too."""

    n_embd: int
    n_ff: int
    n_layer: int
    n_head: int
    image: int
    patch: int
    n_out: int
    n_merge: int
    deepstack: tuple[int, ...] = ()


def _linear(name: str, n_in: int, n_out: int, *, bias: bool = True) -> Iterator[Named]:
    yield f"{name}.weight", (n_in, n_out)
    if bias:
        yield f"{name}.bias", (n_out,)


def _norm(name: str, n: int, *, bias: bool = True) -> Iterator[Named]:
    yield f"{name}.weight", (n,)
    if bias:
        yield f"{name}.bias", (n,)


def _patches(t: Tower, *, bias: bool, frames: int = 1) -> Iterator[Named]:
    ne = (t.patch, t.patch, 3, t.n_embd)
    yield "v.patch_embd.weight", ne
    if frames > 1:
        yield "v.patch_embd.weight.1", ne
    if bias:
        yield "v.patch_embd.bias", (t.n_embd,)


def _layers(
    t: Tower, *, bias: bool, norm_bias: bool, fused: bool = False, gated: bool = False
) -> Iterator[Named]:
    for il in range(t.n_layer):
        block, n = f"v.blk.{il}", t.n_embd
        for part in ("ln1", "ln2"):
            yield from _norm(f"{block}.{part}", n, bias=norm_bias)
        if fused:
            yield from _linear(f"{block}.attn_qkv", n, 3 * n, bias=bias)
        for part in () if fused else ("attn_q", "attn_k", "attn_v"):
            yield from _linear(f"{block}.{part}", n, n, bias=bias)
        yield from _linear(f"{block}.attn_out", n, n, bias=bias)
        for part in ("ffn_gate", "ffn_up") if gated else ("ffn_up",):
            yield from _linear(f"{block}.{part}", n, t.n_ff, bias=bias)
        yield from _linear(f"{block}.ffn_down", t.n_ff, n, bias=bias)


def _gemma3(t: Tower) -> Iterator[Named]:
    yield from _patches(t, bias=True)
    yield "v.position_embd.weight", (t.n_embd, (t.image // t.patch) ** 2)
    yield from _layers(t, bias=True, norm_bias=True)
    yield from _norm("v.post_ln", t.n_embd)
    yield "mm.input_projection.weight", (t.n_out, t.n_embd)
    yield "mm.soft_emb_norm.weight", (t.n_embd,)


def _gemma4v(t: Tower) -> Iterator[Named]:
    yield from _patches(t, bias=False)
    yield "v.position_embd.weight", (t.n_embd, 10240, 2)
    yield from _layers(t, bias=False, norm_bias=False, gated=True)
    for il in range(t.n_layer):
        for part in ("attn_post_norm", "ffn_post_norm"):
            yield f"v.blk.{il}.{part}.weight", (t.n_embd,)
        for part in ("attn_q_norm", "attn_k_norm"):
            yield f"v.blk.{il}.{part}.weight", (t.n_embd // t.n_head,)
    yield "v.std_bias", (t.n_embd,)
    yield "v.std_scale", (t.n_embd,)
    yield from _linear("mm.input_projection", t.n_embd, t.n_out, bias=False)


def _qwen25vl(t: Tower) -> Iterator[Named]:
    yield from _patches(t, bias=False, frames=2)
    yield from _layers(t, bias=True, norm_bias=False, gated=True)
    yield from _norm("v.post_ln", t.n_embd, bias=False)
    yield from _linear("mm.0", 4 * t.n_embd, 4 * t.n_embd)
    yield from _linear("mm.2", 4 * t.n_embd, t.n_out)


def _qwen3vl(t: Tower) -> Iterator[Named]:
    wide = 4 * t.n_embd
    yield from _patches(t, bias=True, frames=2)
    yield "v.position_embd.weight", (t.n_embd, (t.image // t.patch) ** 2)
    yield from _layers(t, bias=True, norm_bias=True, fused=True)
    for il in t.deepstack:
        yield from _norm(f"v.deepstack.{il}.norm", wide)
        yield from _linear(f"v.deepstack.{il}.fc1", wide, wide)
        yield from _linear(f"v.deepstack.{il}.fc2", wide, t.n_out)
    yield from _norm("v.post_ln", t.n_embd)
    yield from _linear("mm.0", wide, wide)
    yield from _linear("mm.2", wide, t.n_out)


def _pixtral(t: Tower) -> Iterator[Named]:
    yield from _patches(t, bias=False)
    yield "v.pre_ln.weight", (t.n_embd,)
    yield from _layers(t, bias=False, norm_bias=False, gated=True)
    yield "mm.input_norm.weight", (t.n_embd,)
    yield "mm.patch_merger.weight", (t.n_merge**2 * t.n_embd, t.n_embd)
    yield from _linear("mm.1", t.n_embd, t.n_out, bias=False)
    yield from _linear("mm.2", t.n_out, t.n_out, bias=False)
    yield "v.token_embd.img_break", (t.n_out,)


def _llama4(t: Tower) -> Iterator[Named]:
    yield "v.patch_embd.weight", (3 * t.patch**2, t.n_embd)
    yield "v.class_embd", (t.n_embd,)
    yield "v.position_embd.weight", (t.n_embd, (t.image // t.patch) ** 2 + 1)
    for part in ("v.pre_ln", "v.post_ln"):
        yield from _norm(part, t.n_embd)
    yield from _layers(t, bias=True, norm_bias=True)
    yield "mm.model.mlp.1.weight", (t.n_merge**2 * t.n_embd, 4096)
    yield "mm.model.mlp.2.weight", (4096, 4096)
    yield "mm.model.fc.weight", (4096, t.n_out)


def _llava(t: Tower) -> Iterator[Named]:
    yield from _patches(t, bias=False)
    yield "v.class_embd", (t.n_embd,)
    yield "v.position_embd.weight", (t.n_embd, (t.image // t.patch) ** 2 + 1)
    yield from _norm("v.pre_ln", t.n_embd)
    yield from _layers(t, bias=True, norm_bias=True)
    yield from _linear("mm.0", t.n_embd, t.n_out)
    yield from _linear("mm.2", t.n_out, t.n_out)


def _internvl(t: Tower) -> Iterator[Named]:
    wide = t.n_merge**2 * t.n_embd
    yield from _patches(t, bias=True)
    yield "v.class_embd", (t.n_embd,)
    yield "v.position_embd.weight", (t.n_embd, (t.image // t.patch) ** 2 + 1)
    yield from _layers(t, bias=True, norm_bias=True)
    for il in range(t.n_layer):
        for part in ("ls1", "ls2"):
            yield f"v.blk.{il}.{part}.weight", (t.n_embd,)
    yield from _norm("mm.model.mlp.0", wide)
    yield from _linear("mm.model.mlp.1", wide, t.n_out)
    yield from _linear("mm.model.mlp.3", t.n_out, t.n_out)


def _qwen2vl(t: Tower) -> Iterator[Named]:
    yield from _patches(t, bias=False, frames=2)
    yield from _layers(t, bias=True, norm_bias=True)
    yield from _norm("v.post_ln", t.n_embd)
    yield from _linear("mm.0", 4 * t.n_embd, 4 * t.n_embd)
    yield from _linear("mm.2", 4 * t.n_embd, t.n_out)


def _kimivl(t: Tower) -> Iterator[Named]:
    wide = t.n_merge**2 * t.n_embd
    yield from _patches(t, bias=True)
    yield "v.position_embd.weight", (t.n_embd, (t.image // t.patch) ** 2)
    yield from _layers(t, bias=True, norm_bias=True)
    yield from _norm("v.post_ln", t.n_embd)
    yield from _norm("mm.input_norm", t.n_embd)
    yield from _linear("mm.1", wide, wide)
    yield from _linear("mm.2", wide, t.n_out)


def _glm4v(t: Tower) -> Iterator[Named]:
    merged = 13_696  # of every GLM that has been published with it
    yield from _patches(t, bias=True, frames=2)
    yield "v.norm_embd.weight", (t.n_embd,)
    yield "v.position_embd.weight", (t.n_embd, (t.image // t.patch) ** 2)
    yield from _layers(t, bias=False, norm_bias=False, fused=True, gated=True)
    yield "v.post_ln.weight", (t.n_embd,)
    yield "mm.patch_merger.weight", (t.n_merge, t.n_merge, t.n_embd, t.n_out)
    yield "mm.patch_merger.bias", (t.n_out,)
    yield "mm.model.fc.weight", (t.n_out, t.n_out)
    yield from _norm("mm.post_norm", t.n_out)
    for part in ("mm.gate", "mm.up"):
        yield f"{part}.weight", (t.n_out, merged)
    yield "mm.down.weight", (merged, t.n_out)


SHAPES: Final[dict[str, Callable[[Tower], Iterator[Named]]]] = {
    "gemma3": _gemma3,
    "gemma4v": _gemma4v,
    "qwen2vl_merger": _qwen2vl,
    "qwen2.5vl_merger": _qwen25vl,
    "qwen3vl_merger": _qwen3vl,
    "pixtral": _pixtral,
    "llama4": _llama4,
    "mlp": _llava,
    "internvl": _internvl,
    "glm4v": _glm4v,
    "kimivl": _kimivl,
}
"""The kinds of which a published projector is in the catalogue."""

_FORCED_F32: Final = (".position_embd.", "v.class_embd", "v.std_", "v.token_embd.")
PRECISIONS: Final = ("f32", "f16", "bf16", "q8_0")
"""What projectors are published in."""


def tensor_type(kind: str, name: str, ne: tuple[int, ...], precision: str) -> QuantType:
    """The type of a tensor in a file of that precision (MmprojModel.tensor_force_quant of
    llama.cpp's conversion/base.py, and its heirs)."""
    if len(ne) == 1 or any(mark in name for mark in _FORCED_F32):
        return QUANTS["F32"]
    if "patch_embd" in name and kind == "gemma3":
        return QUANTS["F32"]
    if name == "mm.input_projection.weight" and kind == "gemma3":
        return QUANTS["F16"]
    if "patch_embd" in name or "patch_merger" in name:
        return QUANTS["F16" if precision == "f16" else "F32"]
    wanted = QUANTS[precision.upper()]
    return wanted if ne[0] % wanted.block == 0 else QUANTS["F16"]


def projector_tensors(kind: str, metadata: Mapping[str, object]) -> tuple[Named, ...]:
    """Name and dimensions of every tensor of the projector that `metadata` describes by clip's
    keys."""

    def number(key: str, default: int = 0) -> int:
        value = metadata.get(f"clip.vision.{key}", default)
        return value if isinstance(value, int) else default

    marked = metadata.get("clip.vision.is_deepstack_layers", ())
    layers = marked if isinstance(marked, tuple) else ()
    tower = Tower(
        n_embd=number("embedding_length"),
        n_ff=number("feed_forward_length"),
        n_layer=number("block_count"),
        n_head=number("attention.head_count", 1),
        image=number("image_size"),
        patch=number("patch_size", 1),
        n_out=number("projection_dim"),
        n_merge=number("spatial_merge_size") or number("projector.scale_factor", 1),
        deepstack=tuple(il for il, is_deep in enumerate(layers) if is_deep),
    )
    return tuple(SHAPES[kind](tower))
