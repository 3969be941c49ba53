"""From what a user names, a model, a card, a calibration, to their estimator.

Whoever predicts takes the same calibration for the same names.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from oomph.architectures.source import read_model
from oomph.config import RunConfig
from oomph.errors import ConfigError, ToolchainError, UnknownNameError
from oomph.estimate.coefficients import Coefficients, read_coefficients
from oomph.estimate.estimator import Estimator
from oomph.estimate.machine import LINUX, Machine
from oomph.gpus import GpuSpec
from oomph.gpus import gpu as find_gpu
from oomph.programs.said import Said
from oomph.units import MIB, parse_size

SHIPPED: Final = "none"
"""What a calibration is called for the coefficients that ship with the package."""


def named_estimator(
    model: str,
    gpu: str | None,
    gpu_mem: float | str | None,
    calibration: Path | None,
    *,
    on_host: bool,
    build: int | None = None,
    unified_memory: bool = False,
    machine: Machine | None = None,
) -> tuple[Estimator, str | None]:
    """The estimator, and the file that its coefficients are of, if they are a calibration's.

    `gpu_mem` is in MiB, or text with a unit, `build` the number of an older llama.cpp. OomphError
    for a model, card or file that cannot be.
    """
    memory_bytes = _memory_bytes(gpu_mem)
    spec, card = read_model(model), find_gpu(gpu) if gpu else None
    coefficients, origin = _calibration(
        calibration, spec.arch, card.name if card else None, on_host=on_host
    )
    estimator = Estimator(
        spec,
        card,
        gpu_memory_bytes=memory_bytes,
        coefficients=coefficients,
        build=build,
        unified_memory=unified_memory,
        machine=machine or LINUX,
    )
    return estimator, origin


def _memory_bytes(gpu_mem: float | str | None) -> int | None:
    """The memory of a card that was given; ConfigError for what no card has."""
    if gpu_mem is None:
        return None
    try:
        n_bytes = parse_size(gpu_mem) if isinstance(gpu_mem, str) else round(gpu_mem * MIB)
    except (ValueError, OverflowError):
        n_bytes = 0
    if not MIB <= n_bytes < MIB << 40:
        raise ConfigError(
            f"--gpu-mem is {gpu_mem}; give the memory of a card in MiB, for example 24080, or with "
            "its unit, as 24GiB"
        )
    return n_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked about: `said`, and the configuration that its program makes of it.
    `calibration` is the file that the estimator's coefficients are of, if of one."""

    estimator: Estimator
    said: Said
    config: RunConfig
    calibration: str | None


def asked_of(
    model: str,
    gpu: str | None,
    gpu_mem: float | str | None,
    calibration: Path | None,
    said: Said,
    machine: Machine | None = None,
) -> Asked:
    """A model on a card: the one that is named, else the machine's own; without a card for
    `n_devices` 0.

    ConfigError where no card is named and none is seen.
    """
    if gpu is None and gpu_mem is None and said.knobs.get("n_devices") != 0:
        cards = seen_cards()
        gpu, gpu_mem = cards[0].name, cards[0].memory_bytes / MIB
        said = said.or_else(n_devices=len(cards))
    on_host = said.knobs.get("n_devices") == 0
    estimator, origin = named_estimator(
        model, gpu, gpu_mem, calibration, on_host=on_host, machine=machine
    )
    config = said.config(estimator.model, estimator.gpu_memory_bytes)
    return Asked(estimator=estimator, said=said, config=config, calibration=origin)


def seen_cards() -> tuple[GpuSpec, ...]:
    """The machine's cards that are like its first; ConfigError where NVML shows none that the
    catalogue knows."""
    from oomph.measure.nvml import detect_gpus

    try:
        cards = detect_gpus()
    except (ToolchainError, UnknownNameError) as error:
        why = f": {error}" if isinstance(error, UnknownNameError) else ""
        raise ConfigError(
            f"no card is seen here{why}; name one with --gpu (`oomph gpus` lists them), or ask "
            "about this machine's processor and memory with --n-devices 0"
        ) from None
    return tuple(card for card in cards if card == cards[0])


def _calibration(
    asked: Path | None, arch: str, card: str | None, *, on_host: bool
) -> tuple[Coefficients | None, str | None]:
    """The coefficients to use and the file that they are of; nothing for those that ship with the
    package.

    Unless a file or `none` is asked for, the newest kept calibration of the same card, build and
    family of models; with no card named, one of this machine, and only for what runs without a
    card.
    """
    if asked is not None:
        return (None, None) if str(asked) == SHIPPED else (read_coefficients(asked), str(asked))
    from oomph.calibrate.store import calibrations_folder, newest_matching

    if not (card or on_host) or not calibrations_folder().is_dir():
        return None, None
    from oomph.records.environment import llama_cpp_commit, machine_name

    kept = newest_matching(card=card, arch=arch, machine=machine_name(), commit=llama_cpp_commit())
    return (kept.coefficients, str(kept.path)) if kept else (None, None)
