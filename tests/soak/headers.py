"""Mutated GGUF headers: bytes changed, and metadata and tensors changed and written anew."""

import json
import struct
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Final

from tests.soak.case import FLOATS, NUMBERS, TEXTS, Case, Part, mutated_bytes, wrong_numbers
from tests.soak.shapes import TARGETS, seed_model, seed_names

from oomph.advise.answer import answer_of
from oomph.architectures.from_gguf import spec_from_gguf
from oomph.architectures.spec import ModelSpec
from oomph.config import RunConfig
from oomph.estimate.draft_pairs import draft_of, inferred_kind
from oomph.estimate.estimator import Estimator
from oomph.gguf.header import SkippedArray, TensorInfo, parse_header
from oomph.gpus import gpu
from oomph.speculation import DRAFTERS, EAGLE3, MTP
from oomph.views.answer import answer_json
from oomph.views.estimates import prediction_json

FILE_BYTES: Final = 1 << 45
U32, I32, F32, BOOL, TEXT, ARRAY, U64, I64 = 4, 5, 6, 7, 8, 9, 10, 11


@cache
def _target(arch: str) -> Estimator:
    """The model that a head of this architecture drafts for, on a card."""
    return Estimator(seed_model(TARGETS[arch]), gpu("RTX 4090"))


def _text(text: str) -> bytes:
    data = text.encode("utf-8", errors="surrogatepass")
    return struct.pack("<Q", len(data)) + data


def _value(value: Any) -> bytes:
    if isinstance(value, bool):
        return struct.pack("<I?", BOOL, value)
    if isinstance(value, int):
        if 0 <= value < 2**32:
            return struct.pack("<II", U32, value)
        return struct.pack("<Iq", I64, value) if value < 0 else struct.pack("<IQ", U64, value)
    if isinstance(value, float):
        return struct.pack("<If", F32, value)
    if isinstance(value, str):
        return struct.pack("<I", TEXT) + _text(value)
    if isinstance(value, SkippedArray):
        return struct.pack("<IIQ", ARRAY, TEXT, value.count) + _text("word") * value.count
    kind, code = _array_type(value)
    return struct.pack(f"<IIQ{len(value)}{code}", ARRAY, kind, len(value), *value)


def _array_type(items: Sequence[Any]) -> tuple[int, str]:
    """GGUF's type of an array and struct's code of an item."""
    if all(isinstance(item, bool) for item in items):
        return BOOL, "?"
    if not all(isinstance(item, int) for item in items):
        return F32, "f"
    is_short = all(-(2**31) <= item < 2**31 for item in items)
    return (I32, "i") if is_short else (I64, "q")


def written(metadata: dict[str, Any], tensors: Sequence[TensorInfo]) -> bytes:
    """A little-endian header of version 3, its tensors one after the other."""
    parts = [b"GGUF", struct.pack("<IQQ", 3, len(tensors), len(metadata))]
    parts += [_text(key) + _value(value) for key, value in metadata.items()]
    offset = 0
    for tensor in tensors:
        ne = [n % 2**64 for n in tensor.ne]
        parts.append(
            _text(tensor.name)
            + struct.pack(f"<I{len(ne)}QIQ", len(ne), *ne, tensor.quant.number, offset % 2**64)
        )
        offset += -(-max(tensor.n_bytes, 0) // 32) * 32
    return b"".join(parts)


def _changed_value(value: Any, source: Random) -> Any:
    """Another value of the key: near, odd, of another type, or an array by layer."""
    kind = source.randrange(8)
    if kind < 2 and isinstance(value, int):
        near = source.choice((value - 1, value + 1, value * 2, value // 2, value * 3 + 1))
        return min(max(0, near), 2**63 - 1)
    if kind < 4:
        return source.choice([number for number in NUMBERS if number < 2**63])
    if kind == 4:
        return source.choice(FLOATS)
    if kind == 5:
        return source.choice(TEXTS)
    n = source.choice((0, 1, 3, 16, 24, 26, 28, 32, 40, 48, 64, 512))
    items = (0, 1, 2, 8, 64, 128, 4096, 2**31 - 1)
    return source.choice(
        (
            tuple(source.choice(items) for _ in range(n)),
            tuple(source.random() < 0.5 for _ in range(n)),
            tuple(source.choice(FLOATS) for _ in range(n)),
        )
    )


def _changed_tensor(tensor: TensorInfo, source: Random) -> TensorInfo:
    kind = source.randrange(4)
    if kind == 0:
        name = source.choice(
            (
                tensor.name.replace("blk.", "blk.²"),
                tensor.name.replace("blk.1.", "blk.٣."),
                tensor.name.replace("blk.0.", f"blk.{source.choice(NUMBERS)}."),
                tensor.name + ".weight",
                "blk." + "9" * 900,
                "blk.-1.attn_q.weight",
                "output.bias",
                "rope_freqs.weight",
            )
        )
        return replace(tensor, name=name)
    if kind == 1:
        return replace(tensor, ne=tensor.ne[::-1])
    block = tensor.quant.block
    first = tensor.ne[0] if kind == 2 else block * source.choice((1, 2, 3, 1000, 2**20))
    rest = tuple(source.choice((1, 2, 128, n + 1, n, 2**20)) for n in tensor.ne[1:])
    return replace(tensor, ne=(first, *rest))


def make(source: Random) -> Case:
    """One header, of any architecture, with one to three things changed, or its bytes."""
    names = seed_names()
    spec = seed_model(source.choice(names[source.choice(list(names))]))
    metadata: dict[str, Any] = dict(spec.metadata)
    tensors = list(spec.tensors.values())
    if source.randrange(5) == 0:
        return Case("bytes", mutated_bytes(written(metadata, tensors), source))
    extra = ("rope.scaling.factor", "rope.scaling.type", "expert_count", "expert_used_count",
             "nextn_predict_layers", "attention.sliding_window", "ssm.inner_size", "rope.freq_base",
             "attention.head_count_kv", "attention.key_length_mla", "rope.dimension_count",
             "attention.shared_kv_layers", "full_attention_interval",
             "attention.sliding_window_pattern", "expert_group_count", "vocab_size")  # fmt: skip
    for _ in range(source.choice((1, 1, 1, 2, 3))):
        kind = source.randrange(10)
        if kind < 5:
            key = source.choice([key for key in metadata if key.startswith(spec.arch)])
            metadata[key] = _changed_value(metadata[key], source)
        elif kind == 5:
            metadata[f"{spec.arch}.{source.choice(extra)}"] = _changed_value(32, source)
        elif kind == 6:
            metadata.pop(source.choice(list(metadata)))
        elif kind == 7:
            tensors.pop(source.randrange(len(tensors)))
        else:
            at = source.randrange(len(tensors))
            tensors[at] = _changed_tensor(tensors[at], source)
    kind = "answer" if source.randrange(16) == 0 else "written"
    return Case(kind, written(metadata, tensors))


def _kind(draft: ModelSpec) -> str:
    """The kind of speculation that a head drafts by."""
    if draft.arch in DRAFTERS:
        return inferred_kind(draft) or EAGLE3
    return MTP


def _context(spec: ModelSpec) -> int:
    """Tokens that are asked for: no more than there are positions, where they are learned."""
    return min(spec.n_ctx_train, 8192) if "position_embd.weight" in spec.tensors else 8192


def _asked(spec: ModelSpec) -> Estimator:
    """An estimator of the model; of one that drafts, beside the model that it drafts for."""
    if spec.arch not in TARGETS:
        return Estimator(spec, gpu("RTX 4090"))
    target = _target(spec.arch)
    return target.changed(riders=[draft_of(target.model, spec, (_kind(spec),))])


def attempt(case: Case, folder: Path) -> str | None:
    """Read the header and predict on a card; of a case for an answer, search for what fits too."""
    spec = spec_from_gguf(parse_header(case.data, name="soak.gguf", file_bytes=FILE_BYTES))
    estimator, config = _asked(spec), RunConfig(n_ctx=_context(spec))
    if estimator.riders:
        config = config.with_(spec_type=_kind(spec), swa_full=False, n_outputs_max=4)
    said = prediction_json(estimator.predict(config))
    wrong = list(wrong_numbers(said))
    if case.kind == "answer":
        wrong += wrong_numbers(json.loads(json.dumps(answer_json(answer_of(estimator, config)))))
    return wrong[0] if wrong else None


HEADERS: Final = Part(usual=20_000, make=make, attempt=attempt)
