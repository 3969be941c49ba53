"""Headers that are well formed and make no sense: an estimate or one sentence, never a crash or a
hang."""

import random
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import pytest

from oomph.architectures.from_gguf import spec_from_gguf
from oomph.architectures.source import read_model
from oomph.architectures.spec import ModelSpec
from oomph.config import RunConfig
from oomph.errors import OomphError
from oomph.estimate.estimator import Estimator
from oomph.gguf.header import GGUFFile
from oomph.gpus import gpu

VALUES = (
    0,
    1,
    3,
    255,
    511,
    2**16,
    2**31 - 1,
    2**32 - 1,
    2**63,
    -1,
    0.5,
    float("nan"),
    float("inf"),
    "x",
    (1, 2, 3),
    (),
)
MODELS = {
    "qwen3-0.6b:Q4_K_M": gpu("4090"),
    "olmoe-1b-7b:Q4_K_M": None,
    "granite-4.0-h-tiny:Q4_K_M": None,
}


def nonsense(model: ModelSpec, source: random.Random) -> Iterator[GGUFFile]:
    """Headers like the model's: each numeric key with a value it cannot have, each kind of tensor
    gone or reshaped."""

    def file(metadata: dict[str, object], tensors: dict[str, object]) -> GGUFFile:
        return GGUFFile(
            name="bad.gguf",
            version=3,
            big_endian=False,
            metadata={**metadata, "general.architecture": model.arch},
            tensors=tuple(tensors.values()),
            data_offset=0,
            file_bytes=1 << 40,
        )  # type: ignore[arg-type]

    for key in model.metadata:
        if key.startswith(model.arch):
            yield file({**model.metadata, key: source.choice(VALUES)}, dict(model.tensors))
    for name in source.sample(list(model.tensors), 6):
        tensor = model.tensors[name]
        wider = replace(tensor, ne=(256 * source.choice((1, 2, 2**20)), *tensor.ne[1:]))
        yield file(dict(model.metadata), {**model.tensors, name: wider})
        yield file(
            dict(model.metadata),
            {other: info for other, info in model.tensors.items() if other != name},
        )


@pytest.mark.timeout(60)
@pytest.mark.parametrize("reference", MODELS)
def test_nonsense_is_answered_or_refused(reference: str) -> None:
    refused = 0
    for file in nonsense(read_model(reference), random.Random(reference)):
        refused += 1
        with suppress(OomphError):
            Estimator(spec_from_gguf(file), MODELS[reference]).predict(RunConfig(n_ctx=512))
            refused -= 1
    assert refused > 5
