"""Heads that draft by the target's features, as llama.cpp's conversion writes them.

No catalogue has them: their widths here are plausible ones and not published, their tensors and
keys those of conversion/llama.py and conversion/qwen.py of llama.cpp 0.5.0. A name is
`KIND-of-TARGET:TYPE`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from oomph.architectures.source import read_model
from oomph.architectures.spec import ModelSpec
from oomph.gguf.ggml_types import quant
from oomph.gguf.header import TensorInfo, Value
from oomph.models.synth import write_synthetic


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A head of `kind` ("eagle3", "dflash", "dspark") beside a model of the catalogue."""

    target: str
    n_ff: int
    heads: tuple[int, int, int]
    """Query heads, KV heads and their width."""
    layers: tuple[int, ...]
    """The target's layers whose inputs it is given."""
    n_embd: int = 0
    """Its own width; 0 for the target's."""
    n_layer: int = 1
    n_draft_vocab: int = 0
    """Tokens that it makes logits of; 0 for all, with the target's own output."""
    has_tokens: bool = False
    """Whether it has a token embedding of its own."""
    has_rope_factors: bool = False
    norm_before_fc: bool = False
    block: int = 0
    """Tokens of a block that it fills in at once."""
    rank: int = 0
    """Width of its Markov head; 0 for none."""
    is_sure: bool = False
    """Whether it has a confidence head."""
    has_sections: bool = False
    """Whether its positions have sections, as an M-RoPE target's."""
    selects: tuple[int, int, int, int] | None = None
    """Of DFlash 2 the kernel and group of its convolutions, its selector's rank and candidates."""
    windowed: tuple[bool, ...] = ()
    """Which of its layers have a window."""


HEADS: Final[Mapping[str, Head]] = {
    "eagle3-of-qwen3-8b": Head(
        target="qwen3-8b",
        n_ff=12288,
        heads=(32, 8, 128),
        layers=(2, 18, 33),
        n_draft_vocab=32000,
    ),
    "eagle3-of-llama-3.1-8b": Head(
        target="llama-3.1-8b",
        n_ff=14336,
        heads=(32, 8, 128),
        layers=(2, 16, 29),
        n_draft_vocab=32000,
        has_rope_factors=True,
    ),
    "eagle3-of-gpt-oss-20b": Head(
        target="gpt-oss-20b",
        n_ff=8640,
        heads=(64, 8, 64),
        layers=(1, 11, 21),
        n_draft_vocab=64000,
        norm_before_fc=True,
    ),
    "eagle3-of-qwen3.5-9b": Head(
        target="qwen3.5-9b",
        n_ff=12288,
        heads=(32, 8, 128),
        layers=(2, 16, 29),
        has_tokens=True,
        n_draft_vocab=32000,
    ),
    "eagle3-of-qwen3-30b-a3b": Head(
        target="qwen3-30b-a3b",
        n_ff=8192,
        heads=(32, 4, 128),
        layers=(2, 24, 45),
        has_tokens=True,
    ),
    "dflash-of-qwen3-8b": Head(
        target="qwen3-8b",
        n_ff=12288,
        heads=(32, 8, 128),
        layers=(2, 10, 18, 26, 34),
        n_layer=5,
        block=16,
    ),
    "dflash-of-qwen3.5-9b": Head(
        target="qwen3.5-9b",
        n_ff=12288,
        heads=(32, 8, 128),
        layers=(2, 9, 16, 23, 30),
        n_layer=5,
        block=16,
        has_sections=True,
        windowed=(True, True, True, True, False),
    ),
    "dflash-of-gpt-oss-20b": Head(
        target="gpt-oss-20b",
        n_ff=7680,
        heads=(64, 8, 64),
        layers=(2, 7, 12, 17, 22),
        n_layer=8,
        block=8,
        has_tokens=True,
    ),
    "dflash2-of-qwen3-8b": Head(
        target="qwen3-8b",
        n_ff=12288,
        heads=(32, 8, 128),
        layers=(2, 10, 18, 26, 34),
        n_layer=5,
        block=16,
        selects=(2, 64, 256, 8),
    ),
    "dspark-of-qwen3-8b": Head(
        target="qwen3-8b",
        n_ff=12288,
        heads=(32, 8, 128),
        layers=(2, 10, 18, 26, 34),
        n_layer=5,
        block=7,
        rank=256,
        is_sure=True,
    ),
    "dspark-of-qwen3-4b": Head(
        target="qwen3-4b",
        n_ff=9728,
        heads=(32, 8, 128),
        layers=(2, 18, 34),
        n_layer=3,
        block=8,
        rank=128,
        n_draft_vocab=32000,
    ),
}
"""Of what no config was found, the widths are such as other heads have."""


def is_head(name: str) -> bool:
    """Whether this is the name of one of them."""
    return name.partition(":")[0] in HEADS


def head_spec(name: str) -> ModelSpec:
    """The head called so."""
    called, _, kind = name.partition(":")
    head, arch = HEADS[called], "eagle3" if called.startswith("eagle3") else "dflash"
    target = read_model(f"{head.target}:Q4_K_M")
    tensors = {
        each: TensorInfo(name=each, ne=ne, quant=quant(_type(each, ne, kind or "F16")))
        for each, ne in (_eagle3 if arch == "eagle3" else _block)(head, target)
    }
    return ModelSpec(
        name=called,
        arch=arch,
        metadata=dict(_metadata(arch, head, target)),
        tensors=tensors,
        source=name,
    )


def head_file(name: str, folder: Path) -> Path:
    """Its sparse file in `folder`, written if it is not there."""
    path = folder / f"{name.replace(':', '-')}.gguf"
    if not path.exists():
        write_synthetic(head_spec(name), path)
    return path


def _type(name: str, ne: tuple[int, ...], kind: str) -> str:
    if name == "d2t":
        return "I64"
    if name.endswith("conv_base"):
        return "F32"
    return kind if len(ne) > 1 else "F32"


def _metadata(arch: str, head: Head, target: ModelSpec) -> Iterator[tuple[str, Value]]:
    n_head, n_head_kv, width = head.heads
    keys: dict[str, Value] = {
        "block_count": head.n_layer,
        "context_length": target.n_ctx_train,
        "embedding_length": head.n_embd or target.n_embd,
        "feed_forward_length": head.n_ff,
        "attention.head_count": n_head,
        "attention.head_count_kv": n_head_kv,
        "attention.key_length": width,
        "attention.value_length": width,
        "attention.layer_norm_rms_epsilon": 1e-6,
        "rope.freq_base": 1e6,
        "vocab_size": target.n_vocab,
        "target_layers": head.layers,
        "target_hidden_size": target.n_embd,
        "norm_before_residual": False,
        "norm_before_fc": head.norm_before_fc,
    }
    if head.block:
        keys["block_size"] = head.block
    if head.selects:
        names = ("conv_kernel_size", "conv_group_size", "selector_rank", "selector_top_k")
        keys |= dict(zip(names, head.selects, strict=True))
    if head.has_sections:
        keys["rope.dimension_sections"] = (width // 2, 0, 0, 0)
    if head.windowed:
        keys["attention.sliding_window"] = 2048
        keys["attention.sliding_window_pattern"] = head.windowed
    yield "general.architecture", arch
    for key, value in keys.items():
        yield f"{arch}.{key}", value


def _eagle3(head: Head, target: ModelSpec) -> Iterator[tuple[str, tuple[int, ...]]]:
    n_embd, (n_head, n_head_kv, width) = head.n_embd or target.n_embd, head.heads
    if head.has_tokens:
        yield "token_embd.weight", (n_embd, target.n_vocab)
    features = target.n_embd * len(head.layers)
    yield "fc.weight", (features, n_embd)
    if head.norm_before_fc:
        yield "enc.output_norm.weight", (features,)
    yield "output_norm.weight", (n_embd,)
    if head.n_draft_vocab:
        yield "d2t", (head.n_draft_vocab,)
        yield "output.weight", (n_embd, head.n_draft_vocab)
    if head.has_rope_factors:
        yield "rope_freqs.weight", (width // 2,)
    for name in ("attn_norm", "attn_norm_2", "ffn_norm"):
        yield f"blk.0.{name}.weight", (n_embd,)
    yield "blk.0.attn_q.weight", (2 * n_embd, n_head * width)
    yield "blk.0.attn_k.weight", (2 * n_embd, n_head_kv * width)
    yield "blk.0.attn_v.weight", (2 * n_embd, n_head_kv * width)
    yield "blk.0.attn_output.weight", (n_head * width, n_embd)
    yield "blk.0.ffn_gate.weight", (n_embd, head.n_ff)
    yield "blk.0.ffn_up.weight", (n_embd, head.n_ff)
    yield "blk.0.ffn_down.weight", (head.n_ff, n_embd)


def _block(head: Head, target: ModelSpec) -> Iterator[tuple[str, tuple[int, ...]]]:
    n_embd, (n_head, n_head_kv, width) = head.n_embd or target.n_embd, head.heads
    if head.has_tokens:
        yield "token_embd.weight", (n_embd, target.n_vocab)
    yield "fc.weight", (target.n_embd * len(head.layers), n_embd)
    yield "enc.output_norm.weight", (n_embd,)
    yield "output_norm.weight", (n_embd,)
    n_vocab = head.n_draft_vocab or target.n_vocab
    if head.n_draft_vocab:
        yield "d2t", (n_vocab,)
        yield "output.weight", (n_embd, n_vocab)
    if head.rank:
        yield "markov_w1.weight", (head.rank, target.n_vocab)
        yield "markov_w2.weight", (head.rank, n_vocab)
    if head.is_sure:
        yield "conf_proj.weight", (n_embd + head.rank, 1)
    kernel, group, rank, _ = head.selects or (0, 1, 0, 0)
    if rank:
        yield "selector_predecessor.weight", (rank, target.n_vocab)
        yield "selector_successor.weight", (rank, target.n_vocab)
        yield "selector_hidden.weight", (n_embd, rank)
    for il in range(head.n_layer):
        for part in ("attn", "ffn") if rank else ():
            yield f"blk.{il}.{part}_conv_base", (n_embd, kernel, 2)
            yield f"blk.{il}.{part}_conv_proj.weight", (n_embd, 2 * kernel * (n_embd // group))
        for name in ("attn_norm", "ffn_norm"):
            yield f"blk.{il}.{name}.weight", (n_embd,)
        yield f"blk.{il}.attn_q_norm.weight", (width,)
        yield f"blk.{il}.attn_k_norm.weight", (width,)
        yield f"blk.{il}.attn_q.weight", (n_embd, n_head * width)
        yield f"blk.{il}.attn_k.weight", (n_embd, n_head_kv * width)
        yield f"blk.{il}.attn_v.weight", (n_embd, n_head_kv * width)
        yield f"blk.{il}.attn_output.weight", (n_head * width, n_embd)
        yield f"blk.{il}.ffn_gate.weight", (n_embd, head.n_ff)
        yield f"blk.{il}.ffn_up.weight", (n_embd, head.n_ff)
        yield f"blk.{il}.ffn_down.weight", (head.n_ff, n_embd)
