"""The parts of a card's first day, put together before anything is measured."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from oomph.analysis.first_card.expectations import Foreseen, described_card
from oomph.analysis.first_card.predictions import write_predictions
from oomph.errors import ConfigError
from oomph.frozen import frozen
from oomph.gpus import GpuSpec
from oomph.measure.ballast import door_to, holding
from oomph.measure.bench import Bench, cpu_bench, open_bench
from oomph.measure.first_card.fitness import only_card, refuse_unready
from oomph.measure.first_card.models import ProtocolModels
from oomph.measure.first_card.protocol import SWEEP, Protocol, Size
from oomph.measure.first_card.visit import Visit
from oomph.records.environment import machine_name

REPORT_S: Final = 20.0
"""Kept of the minutes for the verdict and the page."""


@frozen
class FirstDay:
    """What is measured, where, by what it is predicted, and the visit that measures it."""

    bench: Bench
    folder: Path
    protocol: Protocol
    models: ProtocolModels
    foreseen: Foreseen
    visit: Visit

    @property
    def where(self) -> str:
        """The card or the processor."""
        return self.bench.cards[0].name if self.bench.cards else self.bench.environment.cpu

    def predict(self) -> int:
        """Write down what is expected of the steps that are still to do; how many lines."""
        todo = {step.name for step in self.visit.plan() if not (step.done or step.why)}
        return write_predictions(
            [step for step in self.protocol.step if step.name in todo],
            self.protocol,
            self.models,
            self.foreseen,
            self.visit.environment,
            self.folder,
        )


@contextmanager
def open_first_day(
    phantom: str | None = None,
    *,
    cpu: bool = False,
    size: Size = "full",
    model: str | None = None,
    busy: bool = False,
    out: Path | None = None,
    minutes: float = 10.0,
) -> Iterator[FirstDay]:
    """The parts of a first day put together, for as long as the block: nothing is measured yet.

    `phantom` names phantom cards, `cpu` takes the processor. `size` is "full" or "small", `model`
    the model in question besides the protocol's own; `busy` measures beside what else is on the
    card. `out` left out is the machine's own folder. ConfigError for both `phantom` and `cpu`, and
    where the card is not fit to be measured.
    """
    if cpu and phantom:
        raise ConfigError("--cpu and --phantom both say where to measure; give one of them")
    with ExitStack() as stack:
        bench = cpu_bench() if cpu else stack.enter_context(open_bench(phantom))
        if not cpu:
            card = only_card(bench)
            if not busy:
                refuse_unready(bench, card)
        protocol = Protocol.read(size)
        if model:
            protocol = protocol.asking(model)
        folder = out or _folder(bench)
        models = ProtocolModels(size, computes=bench.phantom is None)
        stack.callback(models.close)
        foreseen = Foreseen(_spec(bench), bench.environment.backend)
        visit = Visit(
            protocol,
            bench,
            folder=folder,
            minutes=max(0.0, minutes - REPORT_S / 60),
            foresight=foreseen,
            models=models,
        )
        yield FirstDay(
            bench=bench,
            folder=folder,
            protocol=protocol,
            models=models,
            foreseen=foreseen,
            visit=visit,
        )


def _folder(bench: Bench) -> Path:
    """Where results go: a machine's own folder, or a phantom's under its card's name."""
    if bench.phantom:
        return (
            Path("results") / "phantom" / f"{SWEEP}-{'-'.join(bench.cards[0].name.lower().split())}"
        )
    return Path("results") / machine_name() / (SWEEP if bench.cards else f"{SWEEP}-cpu")


def _spec(bench: Bench) -> GpuSpec | None:
    """The first card by the catalogue; one that it lacks by what its driver says."""
    if not bench.cards:
        return None
    card = bench.cards[0]
    if bench.phantom:
        return bench.phantom.specs[0]

    def said() -> dict[str, Any]:
        with holding(door_to(bench, card)) as holder:
            return holder.said

    return described_card(card.name, card.compute_capability, said)
