"""What the doctor finds of CUDA: backend, ggml, GPU code, libraries, driver and cards."""

from collections.abc import Iterator, Sequence
from typing import Final

from oomph.cuda import plugin
from oomph.cuda.backend import HOST_BASE, interface_differences, wheel_libraries
from oomph.cuda.fatbin import Version, dotted, in_words, read_gpu_code
from oomph.cuda.interface import read_interface
from oomph.cuda.nvidia import cuda_major
from oomph.cuda.plugin import Plugin
from oomph.errors import ToolchainError
from oomph.measure.cuda_route import CudaRoute, load_backend
from oomph.measure.finding import Finding
from oomph.measure.nvml import CardLostError, CardMemory, Nvml, NvmlCard
from oomph.measure.nvml_library import NvmlError
from oomph.phantom.cards import Phantom
from oomph.records.environment import built_with_cuda
from oomph.units import mib

BACKEND: Final = "CUDA backend"
DRIVER: Final = "install NVIDIA's driver; the CPU and the phantom card work without it"


def cuda_findings(phantom: Phantom | None = None) -> list[Finding]:
    """The backend and the cards that it meets; with `phantom`, those cards, which bring a backend
    of their own."""
    try:
        route, found = _route()
    except ToolchainError as error:
        route, found = (
            None,
            [
                Finding(
                    name="CUDA backend",
                    state="missing",
                    detail=str(error),
                    remedy="oomph setup cuda",
                )
            ],
        )
    return [
        *found,
        *_driver_and_cards(None if phantom else route, phantom),
        *(_loaded(route) if route else ()),
    ]


def _route() -> tuple[CudaRoute | None, list[Finding]]:
    if library := built_with_cuda():
        code = read_gpu_code(library)
        detail = f"built into llama.cpp for CUDA {cuda_major(library)}: {in_words(code)}"
        return CudaRoute(library=library, plugin=None), [
            Finding(name=BACKEND, state="ok", detail=detail)
        ]
    chosen = plugin.chosen()
    if chosen is None:
        remedy = "oomph setup cuda" if plugin.has_driver() else None
        return None, [
            Finding(
                name="CUDA backend",
                state="ok",
                detail="not set up: llama.cpp is for the CPU",
                remedy=remedy,
            )
        ]
    return CudaRoute(library=chosen.backend.path, plugin=chosen), list(_parts(chosen))


def _parts(chosen: Plugin) -> Iterator[Finding]:
    backend = chosen.backend
    yield Finding(
        name=BACKEND, state="ok", detail=f"{backend.source}, as a plug-in: {backend.path}"
    )
    wheel = wheel_libraries()
    host, built_with = read_interface(wheel / HOST_BASE), read_interface(backend.base)
    versions = f"backend {built_with.version}, llama.cpp {host.version}"
    if differing := interface_differences(backend, wheel):
        detail = f"{versions}: {'; '.join(differing)}"
        yield Finding(
            name="ggml", state="missing", detail=detail, remedy="oomph setup cuda --backend PATH"
        )
    else:
        agreed = (
            f"{len(built_with.names['operation'])} operations, "
            f"{len(built_with.names['tensor type'])} tensor types"
        )
        detail = f"{versions}: they agree in {agreed}, the size of a tensor and every symbol"
        yield Finding(name="ggml", state="ok", detail=detail)
    yield Finding(
        name="GPU code", state="ok", detail=f"CUDA {chosen.cuda_major}: {in_words(chosen.code)}"
    )
    places = ", ".join(
        f"{each.soname} ({each.origin}: {each.path.resolve().parent})" for each in chosen.libraries
    )
    yield Finding(name="CUDA libraries", state="ok", detail=places)


def _driver_and_cards(route: CudaRoute | None, phantom: Phantom | None) -> list[Finding]:
    try:
        with Nvml(phantom.nvml_path if phantom else None) as nvml:
            driver, cuda_version, cards = nvml.driver, nvml.cuda_version, nvml.cards()
            memory = [nvml.memory(card.index) for card in cards]
    except NvmlError as error:
        return [_no_driver(error, route)]
    except CardLostError as error:
        remedy = "nvidia-smi --gpu-reset, or reboot"
        return [
            Finding(
                name="NVIDIA cards",
                state="missing",
                detail=f"a card is lost: {error}",
                remedy=remedy,
            )
        ]
    found = [_driver(route, driver, cuda_version)]
    kind = "phantom card" if phantom else "card"
    for card, now in zip(cards, memory, strict=True):
        found.append(_card(f"{kind} {card.index}", card, now, route, cuda_version))
    return found


def _no_driver(error: NvmlError, route: CudaRoute | None) -> Finding:
    """A machine without a driver can do most; one whose driver is broken has a card that cannot be
    used."""
    if error.is_absent:
        remedy = DRIVER if route else "oomph phantom setup"
        return Finding(name="NVIDIA cards", state="optional", detail=str(error), remedy=remedy)
    detail = f"NVML does not answer: {error.reason}"
    return Finding(name="NVIDIA cards", state="missing", detail=detail, remedy=error.way_out)


def _driver(route: CudaRoute | None, driver: str | None, cuda_version: Version | None) -> Finding:
    detail = driver or "does not tell its version"
    if route is None:
        spoken = f", CUDA {dotted(cuda_version)}" if cuda_version else ""
        return Finding(name="NVIDIA driver", state="ok", detail=detail + spoken)
    verdict = route.driver_verdict(cuda_version)
    state = "ok" if verdict.runs else "missing"
    return Finding(
        name="NVIDIA driver",
        state=state,
        detail=f"{detail}, {verdict.detail}",
        remedy=verdict.remedy,
    )


def _card(
    name: str,
    card: NvmlCard,
    now: CardMemory | None,
    route: CudaRoute | None,
    cuda_version: Version | None,
) -> Finding:
    told = (
        f"{mib(now.total_bytes)}, {mib(now.used_bytes)} in use"
        if now
        else "does not tell its memory"
    )
    detail = f"{card.name}, {told}"
    verdict = route.card_verdict(card, cuda_version) if route else None
    if verdict is None:
        return Finding(name=name, state="ok", detail=detail)
    state = "ok" if verdict.runs else "missing"
    return Finding(
        name=name, state=state, detail=f"{detail}; {verdict.detail}", remedy=verdict.remedy
    )


def _loaded(route: CudaRoute) -> Sequence[Finding]:
    """The backend loaded as the worker loads it, and what llama.cpp says where it cannot be."""
    name, loaded = "CUDA in llama.cpp", load_backend(route.backend_path)
    if loaded.cards:
        version = "" if loaded.api_version is None else f" (backend API {loaded.api_version})"
        cards = ", ".join(f"{device['name']} = {device['description']}" for device in loaded.cards)
        return [Finding(name=name, state="ok", detail=f"loads{version}: {cards}")]
    if plugin.has_driver():
        return [
            Finding(
                name=name,
                state="missing",
                detail=loaded.complaint,
                remedy="the lines above say why; check `nvidia-smi`",
            )
        ]
    return [Finding(name=name, state="optional", detail=loaded.complaint, remedy=DRIVER)]
