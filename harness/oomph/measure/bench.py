"""Where points are measured: cards, the CPU or phantom cards.

The one place that knows which probes, which backend and which environment go together, so that a
command says `open_bench(phantom)` and the runner, the worker and the records are the same on a
workstation and on a laptop.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from oomph.errors import ToolchainError
from oomph.frozen import frozen
from oomph.measure.card_probe import CardProbe
from oomph.measure.cards_executor import Share, shared_cpus
from oomph.measure.cuda_route import WITHOUT_DRIVER, CudaRoute, chosen_backend, cuda_route
from oomph.measure.executors import Executor, LocalExecutor
from oomph.measure.nvml import Nvml, NvmlCard
from oomph.measure.probes import HostProbe, Probe
from oomph.measure.server_executor import ByProgram, ServerExecutor
from oomph.measure.server_run import phantom_arguments
from oomph.measure.visible import seen_cards
from oomph.phantom.cards import Phantom, phantom_cards
from oomph.records.environment import read_environment
from oomph.records.schema import Environment

CARD_INTERVAL_S: Final = 0.02
WITHOUT_CONTEXT: Final = (
    "a phantom card has no CUDA context, which takes some hundred MiB of a real one (527 of an "
    "H200): what just fits here may not fit there"
)
PCI_ORDER: Final = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
"""CUDA counts cards by speed unless told otherwise; NVML counts them by bus."""


Sharing = Callable[[Sequence[NvmlCard], bool], Share]
"""Some of a machine's cards, and whether their worker is kept to the CPUs near them, as a part of
the machine."""


@frozen
class Bench:
    """An executor and what its records say of the machine; `phantom` are the cards if they are
    phantoms, `remark` is what whoever expected something else should know.

    The executor takes all `cards` together, as llama.cpp does by itself; `share` gives some of them
    only.
    """

    executor: Executor
    environment: Environment
    cards: tuple[NvmlCard, ...]
    share: Sharing
    phantom: Phantom | None = None
    remark: str = ""


@contextmanager
def open_bench(
    phantom: str | None = None, *, interval_s: float = CARD_INTERVAL_S
) -> Iterator[Bench]:
    """This machine, or phantom cards as `oomph.phantom.cards.parse_cards` reads them.

    Raises ToolchainError where the phantom is not set up, where the installed build wants a card
    and there is none, and where the CUDA backend cannot run on the cards or their driver.
    """
    if phantom is not None:
        with phantom_cards(phantom) as cards:
            yield replace(_phantom_bench(cards, interval_s), remark=WITHOUT_CONTEXT)
    elif route := cuda_route():
        yield _card_bench(route, interval_s)
    else:
        yield replace(cpu_bench(), remark=WITHOUT_DRIVER if chosen_backend() == "cuda" else "")


def cpu_bench() -> Bench:
    """This machine's processor, also where there is a card: no CUDA program sees it."""
    hidden = {"CUDA_VISIBLE_DEVICES": ""}
    environment = read_environment(backend="cpu")
    executor = ByProgram(
        library=LocalExecutor(environment=hidden),
        server=ServerExecutor(environment, variables=lambda _: hidden),
    )
    return _bench((), lambda cards, pinned: Share(executor=executor, environment=environment))


def _phantom_bench(phantom: Phantom, interval_s: float) -> Bench:
    with Nvml(phantom.nvml_path) as nvml:
        cards, driver = nvml.cards(), nvml.driver

    def share(cards: Sequence[NvmlCard], pinned: bool) -> Share:
        shown = phantom.environment([card.index for card in cards])
        cpus = shared_cpus(cards) if pinned else ()
        environment = read_environment(backend="phantom", gpus=map(_facts, cards), driver=driver)

        def probes() -> Sequence[Probe]:
            return HostProbe(), CardProbe(phantom, visible=shown["CUDA_VISIBLE_DEVICES"])

        executor = ByProgram(
            library=LocalExecutor(
                probes=probes,
                interval_s=interval_s,
                backend_path=phantom.backend_path,
                environment=shown,
                cpus=cpus,
            ),
            server=ServerExecutor(
                environment,
                probes=probes,
                interval_s=interval_s,
                variables=lambda program: shown | phantom.backend_of(program.parent),
                arguments=phantom_arguments(len(cards)),
            ),
        )
        return Share(executor=executor, environment=environment, cpus=cpus)

    return _bench(cards, share, phantom)


def _card_bench(route: CudaRoute, interval_s: float) -> Bench:
    try:
        with Nvml() as nvml:
            cards, driver, cuda_version = seen_cards(nvml), nvml.driver, nvml.cuda_version
    except ToolchainError as error:
        back = "; `oomph setup cuda --off` goes back to the CPU" if route.plugin else ""
        raise ToolchainError(f"llama-cpp-python is set up for CUDA, and {error}{back}") from None
    route.require(cards, cuda_version)

    def share(cards: Sequence[NvmlCard], pinned: bool) -> Share:
        shown = {"CUDA_VISIBLE_DEVICES": ",".join(card.uuid or str(card.index) for card in cards)}
        cpus = shared_cpus(cards) if pinned else ()
        environment = read_environment(backend="cuda", gpus=map(_facts, cards), driver=driver)

        def probes() -> Sequence[Probe]:
            return HostProbe(), CardProbe(visible=shown["CUDA_VISIBLE_DEVICES"])

        executor = ByProgram(
            library=LocalExecutor(
                probes=probes,
                interval_s=interval_s,
                backend_path=route.backend_path,
                environment=PCI_ORDER | shown,
                cpus=cpus,
            ),
            server=ServerExecutor(
                environment,
                probes=probes,
                interval_s=interval_s,
                variables=lambda _: PCI_ORDER | shown,
            ),
        )
        return Share(executor=executor, environment=environment, cpus=cpus)

    return _bench(cards, share)


def _bench(cards: tuple[NvmlCard, ...], share: Sharing, phantom: Phantom | None = None) -> Bench:
    whole = share(cards, False)
    return Bench(
        executor=whole.executor,
        environment=whole.environment,
        phantom=phantom,
        cards=cards,
        share=share,
    )


def _facts(card: NvmlCard) -> dict[str, Any]:
    return {
        "index": card.index,
        "name": card.name,
        "uuid": card.uuid,
        "compute_capability": card.compute_capability,
        "total_bytes": card.total_bytes,
        "usable_bytes": card.usable_bytes,
    }
