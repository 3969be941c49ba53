"""Where points are measured: cards, the CPU or phantom cards.

The one place that knows which probes, which backend and which environment go together, so that a command says
`open_bench(phantom)` and the runner, the worker and the records are the same on a workstation and on a laptop.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from oomph.errors import ToolchainError
from oomph.measure.card_probe import CardProbe
from oomph.measure.executors import LocalExecutor
from oomph.measure.nvml import Card, Nvml, visible_cards
from oomph.measure.probes import HostProbe, Probe
from oomph.phantom.cards import Phantom, phantom_cards
from oomph.records.environment import installed_backend, read_environment
from oomph.records.schema import Environment

CARD_INTERVAL_S: Final = 0.02
PCI_ORDER: Final = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
"""CUDA counts cards by speed unless told otherwise; NVML counts them by bus."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """An executor and what its records say of the machine; `phantom` are the cards if they are phantoms."""

    executor: LocalExecutor
    environment: Environment
    phantom: Phantom | None = None


@contextmanager
def open_bench(phantom: str | None = None, *, interval_s: float = CARD_INTERVAL_S) -> Iterator[Bench]:
    """This machine, or phantom cards as `oomph.phantom.cards.parse_cards` reads them.

    Raises ToolchainError where the phantom is not set up, or where the installed build wants a card and there is none.
    """
    if phantom is not None:
        with phantom_cards(phantom) as cards:
            yield _phantom_bench(cards, interval_s)
    elif installed_backend() == "cuda":
        yield _card_bench(interval_s)
    else:
        yield Bench(executor=LocalExecutor(), environment=read_environment())


def _phantom_bench(phantom: Phantom, interval_s: float) -> Bench:
    def probes() -> Sequence[Probe]:
        return HostProbe(), CardProbe(phantom)

    executor = LocalExecutor(
        probes=probes, interval_s=interval_s, backend_path=phantom.backend_path, environment=phantom.environment()
    )
    with Nvml(phantom.nvml_path) as nvml:
        cards = [_facts(card) for card in nvml.cards()]
        environment = read_environment(backend="phantom", gpus=cards, driver=nvml.driver)
    return Bench(executor=executor, environment=environment, phantom=phantom)


def _card_bench(interval_s: float) -> Bench:
    try:
        with Nvml() as nvml:
            cards = [_facts(card) for card in visible_cards(nvml.cards(), os.environ)]
            environment = read_environment(backend="cuda", gpus=cards, driver=nvml.driver)
    except ToolchainError as error:
        raise ToolchainError(f"llama-cpp-python is built for CUDA, and {error}") from None
    executor = LocalExecutor(probes=lambda: (HostProbe(), CardProbe()), interval_s=interval_s, environment=PCI_ORDER)
    return Bench(executor=executor, environment=environment)


def _facts(card: Card) -> dict[str, Any]:
    return {
        "name": card.name, "uuid": card.uuid, "compute_capability": card.compute_capability,
        "total_bytes": card.total_bytes, "usable_bytes": card.usable_bytes,
    }  # fmt: skip
