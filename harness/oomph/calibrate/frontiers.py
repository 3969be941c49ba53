"""The largest context that really runs, for each combination of knobs, on a bench's cards."""

import contextlib
import itertools
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from oomph.architectures.source import read_model
from oomph.architectures.spec import ModelSpec
from oomph.calibrate.expected_memory import Expectation
from oomph.config import RunConfig
from oomph.errors import UnknownNameError
from oomph.gpus import gpu
from oomph.measure.bench import Bench
from oomph.measure.frontier import Frontier, FrontierSearch, Slack, frontiers
from oomph.measure.runner import Runner
from oomph.models.sparse import model_path
from oomph.programs.said import Said
from oomph.records.store import Store


def combinations(
    axes: Mapping[str, Sequence[Any]], said: Said, model: ModelSpec
) -> list[RunConfig]:
    """Every combination of the axes' values over what was said, the first axis slowest; `type_kv`
    is the type of both caches."""
    found = []
    for values in itertools.product(*axes.values()):
        knobs = dict(zip(axes, values, strict=True))
        if (kind := knobs.pop("type_kv", None)) is not None:
            knobs |= {"type_k": kind, "type_v": kind}
        found.append(said.with_(**knobs).config(model))
    return found


def find_frontiers(
    model: str, configs: Sequence[RunConfig], bench: Bench, *, limit: int, out: Path | None = None
) -> Iterator[Frontier]:
    """The largest context up to `limit` tokens that runs when it is filled, for each configuration,
    as it is found; records go to `out`, where an interrupted search goes on."""
    path = model_path(model) if bench.phantom else Path(model)
    with contextlib.ExitStack() as stack:
        store = Store(
            out or stack.enter_context(tempfile.TemporaryDirectory(prefix="oomph-frontier-"))
        )
        runner = Runner(
            store, bench.executor, model=path, known_as=model, environment=bench.environment
        )
        search = FrontierSearch(runner, model=model, limit=limit)
        n_devices = len(bench.environment.gpus)
        settled = [config.with_(n_devices=n_devices) for config in configs]
        yield from frontiers(search, settled, slack=_slack(path, bench))


def _slack(path: Path, bench: Bench) -> Slack | None:
    """The estimate as a guide; none on a machine without cards, or with one that the catalogue
    lacks."""
    cards = bench.environment.gpus
    try:
        specs = bench.phantom.specs if bench.phantom else tuple(gpu(card["name"]) for card in cards)
    except UnknownNameError:
        return None
    if not specs or any(card["usable_bytes"] is None for card in cards):
        return None
    sized = [
        replace(spec, memory_bytes=card["usable_bytes"])
        for spec, card in zip(specs, cards, strict=True)
    ]
    expected = Expectation(read_model(path), sized, backend=bench.environment.backend)
    return expected.slack([card["usable_bytes"] for card in cards])
