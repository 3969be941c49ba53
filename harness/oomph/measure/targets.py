"""How a sweep is spread over the cards of a machine.

- A point that names `n_devices` runs on so many cards. One that names none runs on one card, unless
  no point of the sweep is expected to fit one: then on all of them, as llama.cpp spreads a model by
  itself.
- Cards of one kind (name and memory) share the points. Every kind measures all of them: speeds of
  two kinds in one curve would say nothing. Where no kind has as many cards as a point asks for, all
  cards are one kind.
- Workers on different cards run side by side, but only one at a time where a point times the host:
  layers, experts or caches in its memory, which all workers would share. A machine without cards
  has one worker.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from oomph.architectures.spec import ModelSpec
from oomph.config import RunConfig
from oomph.errors import ConfigError
from oomph.frozen import frozen
from oomph.measure.bench import Bench
from oomph.measure.cards_executor import CardsExecutor, Company
from oomph.measure.nvml import NvmlCard
from oomph.measure.plan import Place
from oomph.measure.point import Point
from oomph.measure.sweep import Sweep

ALL_LAYERS: Final = -1
Fits = Callable[[RunConfig, NvmlCard], bool | None]
"""Whether a configuration is expected to fit a card; None where nothing is known."""


@frozen
class Spread:
    """The places where a sweep is measured, and how many workers run at once over all of them."""

    places: tuple[Place, ...]
    at_once: int


def spread(
    sweep: Sweep,
    spec: ModelSpec,
    bench: Bench,
    *,
    workers: int | None = None,
    fits: Fits = lambda config, card: None,
) -> Spread:
    """Where the sweep is measured on this bench, by `workers` at once at most.

    ConfigError where there are no cards for several workers.
    """
    if not bench.cards:
        if workers not in (None, 1):
            raise ConfigError(
                f"--workers is {workers}, and workers on one CPU disturb each other's timing; "
                "leave it out"
            )
        return Spread(
            places=(Place(executor=bench.executor, environment=bench.environment),), at_once=1
        )
    points = (each.build() for each in sweep.drawn().values())
    n_default = 1 if _fits_one(points, bench.cards, fits) else len(bench.cards)
    asked = [n_default if n is None else n for n in sweep.cards_named()]
    alone = bench.phantom is None and any(
        p.workload.timing and uses_host(p.config, spec) for p in sweep.settings(*HOST_KNOBS)
    )
    most = 1 if alone else workers or len(bench.cards)
    company, places = Company(), list[Place]()
    for cards in [kind for kind in _kinds(bench.cards) if len(kind) >= max(asked)] or [bench.cards]:
        at_once = max(1, min(most, len(cards) // max(1, min(asked))))
        executor = CardsExecutor(
            cards, lambda taken: bench.share(taken, not alone), at_once=at_once, company=company
        )
        environment = bench.share(cards, False).environment
        places.append(
            Place(
                executor=executor,
                environment=environment,
                at_once=at_once,
                n_devices=n_default,
                divides=True,
            )
        )
    return Spread(places=tuple(places), at_once=min(most, sum(place.at_once for place in places)))


def _kinds(cards: Sequence[NvmlCard]) -> list[Sequence[NvmlCard]]:
    kinds: dict[tuple[str, int | None], list[NvmlCard]] = {}
    for card in cards:
        kinds.setdefault((card.name, card.total_bytes), []).append(card)
    return [*kinds.values()]


def _fits_one(points: Iterable[Point], cards: Sequence[NvmlCard], fits: Fits) -> bool:
    """Whether any point may fit one card."""
    biggest = max(cards, key=lambda card: card.usable_bytes or 0)
    return any(fits(point.config.with_(n_devices=1), biggest) is not False for point in points)


HOST_KNOBS: Final = ("n_gpu_layers", "n_cpu_moe", "override_tensor", "offload_kqv")
"""What `uses_host` goes by."""


def uses_host(config: RunConfig, spec: ModelSpec) -> bool:
    """Whether layers, experts or caches lie in the host's memory, so that speed hangs on it."""
    partial = config.n_gpu_layers != ALL_LAYERS and config.n_gpu_layers <= spec.n_layer
    return bool(partial or config.n_cpu_moe or config.override_tensor or not config.offload_kqv)
