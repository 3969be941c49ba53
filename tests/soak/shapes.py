"""One small model of every architecture, which headers are mutated of.

A shape is the catalogue's where it has one of the architecture, else of
`tests/data/architectures.toml` or, for a head that drafts, of `bench/peers/draft_shapes.py`. Of
three architectures oomph builds no tensors, since their models need a file: theirs are listed here.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Final

from bench.peers import draft_shapes
from bench.peers.architectures import shape, shaped_model, shapes

from oomph.architectures.catalogue import catalogue_entries
from oomph.architectures.spec import ModelSpec
from oomph.gguf.ggml_types import quant
from oomph.gguf.header import TensorInfo, Value

PUBLISHED: Final = (
    "qwen3-0.6b", "olmoe-1b-7b", "gemma-3-1b", "gemma-3n-e2b", "qwen3-next-80b-a3b", "lfm2-1.2b",
    "granite-4.0-h-tiny", "deepseek-v2-lite", "gpt-oss-20b", "llama-4-scout", "phi-3.5-mini",
    "nemotron-h-8b", "falcon-h1-7b", "mamba2-2.7b", "command-r7b", "qwen3.5-4b", "glm-4.5-air",
    "gemma-4-e2b", "deepseek-v3.2", "starcoder2-3b",
)  # fmt: skip
"""Of the catalogue's, those that are mutated whatever else it has of their architecture."""
TARGETS: Final[Mapping[str, str]] = {
    "eagle3": "qwen3-8b",
    "dflash": "qwen3-8b",
    "gemma4-assistant": "small-gemma4",
}
"""The shape that a drafter of an architecture drafts for."""
_DRAFTERS: Final = ("eagle3-of-qwen3-8b", "dflash2-of-qwen3-8b", "dspark-of-qwen3-8b")
LAYERS, WIDTH, FEED_FORWARD, HEADS, WORDS = 6, 1024, 4096, 16, 32_000


@cache
def seed_names() -> Mapping[str, tuple[str, ...]]:
    """The names of shapes by their architecture, every architecture with at least one."""
    found: dict[str, list[str]] = {}
    for entry in catalogue_entries():
        if entry.name in PUBLISHED or entry.arch not in found:
            found.setdefault(entry.arch, []).append(entry.name)
    for name in shapes():
        found.setdefault(shape(name)["arch"], []).append(name)
    for name in _DRAFTERS:
        found.setdefault(seed_model(name).arch, []).append(name)
    for arch in _LISTED:
        found[arch] = [arch]
    return {arch: tuple(dict.fromkeys(names)) for arch, names in sorted(found.items())}


@cache
def seed_model(name: str) -> ModelSpec:
    """The shape called so, in Q4_K_M where a quantization can be chosen."""
    if name in _LISTED:
        return _listed_model(name)
    return draft_shapes.head_spec(name) if draft_shapes.is_head(name) else shaped_model(name)


_LISTED: Final[Mapping[str, tuple[Mapping[str, Value], Mapping[str, tuple[int, ...]]]]] = {
    "falcon": (
        {"attention.head_count_kv": 1, "attention.layer_norm_epsilon": 1e-5},
        {
            "attn_norm.weight": (WIDTH,),
            "attn_norm.bias": (WIDTH,),
            "attn_qkv.weight": (WIDTH, WIDTH + 2 * WIDTH // HEADS),
            "attn_output.weight": (WIDTH, WIDTH),
            "ffn_up.weight": (WIDTH, FEED_FORWARD),
            "ffn_down.weight": (FEED_FORWARD, WIDTH),
        },
    ),
    "phi2": (
        {
            "attention.head_count_kv": HEADS,
            "attention.layer_norm_epsilon": 1e-5,
            "rope.dimension_count": 32,
        },
        {
            "attn_norm.weight": (WIDTH,),
            "attn_norm.bias": (WIDTH,),
            "attn_qkv.weight": (WIDTH, 3 * WIDTH),
            "attn_qkv.bias": (3 * WIDTH,),
            "attn_output.weight": (WIDTH, WIDTH),
            "attn_output.bias": (WIDTH,),
            "ffn_up.weight": (WIDTH, FEED_FORWARD),
            "ffn_up.bias": (FEED_FORWARD,),
            "ffn_down.weight": (FEED_FORWARD, WIDTH),
            "ffn_down.bias": (WIDTH,),
        },
    ),
    "stablelm": (
        {
            "attention.head_count_kv": HEADS,
            "attention.layer_norm_epsilon": 1e-5,
            "rope.dimension_count": 16,
            "use_parallel_residual": False,
        },
        {
            "attn_norm.weight": (WIDTH,),
            "attn_norm.bias": (WIDTH,),
            "attn_q.weight": (WIDTH, WIDTH),
            "attn_k.weight": (WIDTH, WIDTH),
            "attn_v.weight": (WIDTH, WIDTH),
            "attn_output.weight": (WIDTH, WIDTH),
            "ffn_norm.weight": (WIDTH,),
            "ffn_norm.bias": (WIDTH,),
            "ffn_gate.weight": (WIDTH, FEED_FORWARD),
            "ffn_up.weight": (WIDTH, FEED_FORWARD),
            "ffn_down.weight": (FEED_FORWARD, WIDTH),
        },
    ),
}
"""Keys and a block's tensors of what oomph cannot build by itself."""


def _listed_model(arch: str) -> ModelSpec:
    keys, block = _LISTED[arch]
    metadata: dict[str, Value] = {
        "general.architecture": arch,
        f"{arch}.block_count": LAYERS,
        f"{arch}.context_length": 2048,
        f"{arch}.embedding_length": WIDTH,
        f"{arch}.feed_forward_length": FEED_FORWARD,
        f"{arch}.attention.head_count": HEADS,
        **{f"{arch}.{key}": value for key, value in keys.items()},
    }
    tensors = {
        name: TensorInfo(name=name, ne=ne, quant=quant("F32" if len(ne) == 1 else "Q4_K"))
        for name, ne in _all_tensors(block)
    }
    return ModelSpec(name=arch, arch=arch, metadata=metadata, tensors=tensors, source=arch)


def _all_tensors(block: Mapping[str, tuple[int, ...]]) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "token_embd.weight", (WIDTH, WORDS)
    for il in range(LAYERS):
        yield from ((f"blk.{il}.{name}", ne) for name, ne in block.items())
    yield "output_norm.weight", (WIDTH,)
    yield "output_norm.bias", (WIDTH,)
    yield "output.weight", (WIDTH, WORDS)
