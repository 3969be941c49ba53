"""The estimate held against the dry run of a llama.cpp: what is exact, and what moved.

The dry run is of the prompt's graph with nothing allocated, and so is what it is held against
(`is_dry_run` of `MemoryModel`). A model that is no file here is a sparse one for the while.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from oomph.architectures.catalogue import catalogue_names
from oomph.architectures.source import read_model
from oomph.architectures.spec import ModelSpec
from oomph.cards import Card
from oomph.config import RunConfig
from oomph.errors import OomphError
from oomph.estimate.build import build_of
from oomph.estimate.memory import MemoryModel
from oomph.estimate.prediction import MemoryEstimate
from oomph.frozen import frozen
from oomph.measure.dry_run import Counted, Llama, dry_run
from oomph.measure.server_counts import SAID, server_counts
from oomph.models.synth import write_synthetic
from oomph.phantom.cards import Phantom
from oomph.units import MIB

SAMPLE: Final = (
    "llama-3.1-8b", "qwen3-vl-8b", "qwen3-30b-a3b", "qwen3.6-35b-a3b", "gemma-3-12b",
    "gemma-4-e4b", "gpt-oss-20b", "glm-4.7-flash", "deepseek-v2-lite",
    "nemotron-3-nano-30b-a3b", "lfm2-8b-a1b", "falcon-h1-7b",
)  # fmt: skip
"""One of each kind that a build has moved by itself."""
CONFIGS: Final = (
    RunConfig(n_ctx=4096),
    RunConfig(n_ctx=32768, n_ubatch=1024, n_seq_max=4, kv_unified=True, swa_full=False),
)
PRINTED_MIB: Final = 0.0101
"""llama.cpp prints two decimals, of a sum of two caches."""


Ask = Callable[[ModelSpec, Path], Iterator[tuple[MemoryEstimate, Counted]]]
"""Asks llama.cpp about a model's file: what is predicted, beside what it counts."""


@frozen
class Difference:
    """A figure that is not the one counted, in MiB."""

    part: str
    predicted_mib: float
    counted_mib: float

    @property
    def share(self) -> float:
        """By how much of the prediction it is off."""
        return abs(self.counted_mib - self.predicted_mib) / max(self.predicted_mib, PRINTED_MIB)


@frozen
class Verified:
    """A model that was held against a dry run: how many figures, and those that differ; `failed`
    says why there are none."""

    model: str
    n_figures: int = 0
    differences: tuple[Difference, ...] = ()
    failed: str = ""

    @property
    def compute_share(self) -> float:
        """The largest share by which a compute buffer is off."""
        return max((d.share for d in self.differences if "compute" in d.part), default=0.0)


def verify(
    models: Sequence[str], *, llama: Llama, build: int | None, cards: Sequence[Card] = ()
) -> Iterator[Verified]:
    """Each model against what `llama` counts, on the `cards` that it sees or on the CPU alone;
    `build` is whose replay it is held against, None is 0.5.0's."""
    configs = [config.with_(n_devices=len(cards)) for config in CONFIGS]

    def ask(spec: ModelSpec, path: Path) -> Iterator[tuple[MemoryEstimate, Counted]]:
        memory = MemoryModel(spec, build_of(build), cards, is_dry_run=True)
        counted = dry_run(path, spec.arch, configs, llama=llama)
        for config, each in zip(configs, counted, strict=True):
            yield memory.estimate(config), each

    return _each(models, ask)


def verify_server(
    models: Sequence[str], server: Path, *, build: int | None, phantom: Phantom | None = None
) -> Iterator[Verified]:
    """Each model against the log of a llama-server that loads it, on the CPU or on phantom
    cards."""
    cards = (
        tuple(Card(spec=spec, memory_bytes=spec.memory_bytes) for spec in phantom.specs)
        if (phantom)
        else ()
    )

    def ask(spec: ModelSpec, path: Path) -> Iterator[tuple[MemoryEstimate, Counted]]:
        config = SAID.with_(n_devices=len(cards)).config(spec)
        memory = MemoryModel(spec, build_of(build), cards)
        yield memory.estimate(config), server_counts(path, server, phantom=phantom)

    return _each(models, ask)


def _each(models: Sequence[str], ask: Ask) -> Iterator[Verified]:
    """Every model asked, one after the other; one that cannot be is told, and the next asked."""
    with tempfile.TemporaryDirectory(prefix="oomph-verify-") as folder:
        for name in models:
            try:
                spec = read_model(f"{name}:Q4_K_M" if name in catalogue_names() else name)
                pairs = list(ask(spec, _file_of(name, spec, Path(folder))))
            except OomphError as error:
                yield Verified(model=name, failed=str(error))
                continue
            found = [each for pair in pairs for each in figures(*pair)]
            wrong = (d for d in found if abs(d.predicted_mib - d.counted_mib) > PRINTED_MIB)
            yield Verified(model=name, n_figures=len(found), differences=tuple(wrong))


def _file_of(name: str, spec: ModelSpec, folder: Path) -> Path:
    """The model's own file, or a sparse one of its shapes."""
    if Path(name).is_file():
        return Path(name)
    path = folder / "model.gguf"
    write_synthetic(spec, path)
    return path


def figures(estimate: MemoryEstimate, counted: Counted) -> Iterator[Difference]:
    """Every figure that was counted, beside the one predicted."""
    devices = estimate.devices
    for part, by_device in (
        ("compute", counted.compute_mib),
        ("recurrent", counted.recurrent_mib),
    ):
        for device, mib in by_device.items():
            memory = devices.get(device)
            n_bytes = getattr(memory, f"{part}_bytes") if memory else 0
            yield Difference(part=f"{device} {part}", predicted_mib=n_bytes / MIB, counted_mib=mib)
    caches = sum(memory.kv_cache_bytes for memory in devices.values())
    yield Difference(part="KV cache", predicted_mib=caches / MIB, counted_mib=counted.kv_cache_mib)
