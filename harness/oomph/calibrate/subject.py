"""From what a user names, a model, a card, a calibration, to their estimator.

Whoever predicts takes the same calibration for the same names.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from oomph.architectures.source import read_model
from oomph.calibrate.aboard import inferred, riders_of, told_of_projector
from oomph.calibrate.replay_files import REPLAYS
from oomph.cards import Card, CardNames, chosen_cards, listed_cards, read_cards
from oomph.config import RunConfig
from oomph.errors import ConfigError, ToolchainError, UnknownNameError
from oomph.estimate.coefficients import Coefficients, read_coefficients
from oomph.estimate.estimator import Estimator
from oomph.estimate.machine import LINUX, Machine
from oomph.frozen import frozen
from oomph.gpus import GpuSpec
from oomph.gpus import gpu as gpu_of
from oomph.programs.said import Said

SHIPPED: Final = "none"
"""What a calibration is called for the coefficients that ship with the package."""


def named_estimator(
    model: str,
    cards: Sequence[Card],
    calibration: Path | None,
    *,
    on_host: bool,
    build: int | None = None,
    unified_memory: bool = False,
    machine: Machine | None = None,
    beside: Said | None = None,
) -> tuple[Estimator, str | None]:
    """The estimator, and the file that its coefficients are of, if they are a calibration's.

    `build` is the number of an older llama.cpp; what was said names what is loaded `beside` the
    model. OomphError for a model or file that cannot be.
    """
    spec = read_model(model)
    name = cards[0].spec.name if cards and cards[0].spec else None
    coefficients, origin = _calibration(calibration, spec.arch, name, on_host=on_host)
    riders = riders_of(spec, beside, build) if beside else ()
    estimator = Estimator(
        told_of_projector(spec, riders) if beside else spec,
        cards,
        coefficients=coefficients,
        build=build,
        unified_memory=unified_memory,
        machine=machine or LINUX,
        riders=riders,
        store=REPLAYS,
    )
    if build is not None:
        from oomph.calibrate.bounds import learned_share

        estimator.learned_share = learned_share(build, has_cards=not on_host)
    return estimator, origin


def estimator_of_each(
    model: str,
    cards: Sequence[Card],
    asked: Sequence[Said],
    calibration: Path | None,
    *,
    machine: Machine,
    build: int | None,
    unified_memory: bool,
    beside: Said,
) -> tuple[Estimator, str | None]:
    """`named_estimator` for several configurations on the same machine."""
    on_host = any(said.knobs.get("n_devices") == 0 for said in asked)
    return named_estimator(
        model,
        cards,
        calibration,
        on_host=on_host,
        build=build,
        unified_memory=unified_memory,
        machine=machine_around(asked[0], machine, is_own=on_host),
        beside=beside,
    )


def cards_said(
    gpu: CardNames, gpu_mem: float | str | None, said: Said
) -> tuple[tuple[Card, ...], Said]:
    """The cards that are named, cut to those that --device names, and what was said with their
    number.

    One card stands for as many like it as were said. ConfigError where what was said is not of so
    many cards.
    """
    cards = read_cards(gpu, gpu_mem)
    shares, n = said.shares, said.n_devices
    if len(cards) < 2:
        if cards and said.devices:
            cards = tuple(replace(cards[0], device=name.upper()) for name in said.devices)
            said = replace(said, n_cards=len(cards))
        if n and any(shares[n:]):
            raise ConfigError(_too_many(shares, n))
        return cards, said
    if said.devices:
        cards = chosen_cards(cards, said.devices)
    if any(shares[len(cards) :]):
        raise ConfigError(_too_many(shares, len(cards)))
    if n is not None and n not in (len(cards), len(shares)):
        raise ConfigError(
            f"n_devices is {n}, and {len(cards)} cards are named: {listed_cards(cards)}; leave one "
            "of the two out"
        )
    knobs = {name: value for name, value in said.knobs.items() if name != "n_devices"}
    return cards, replace(said, knobs=knobs, n_cards=len(cards))


def cards_of_each(
    gpu: CardNames, gpu_mem: float | str | None, asked: Iterable[Said]
) -> tuple[tuple[Card, ...], list[Said]]:
    """`cards_said` for several configurations on the same cards."""
    told = [cards_said(gpu, gpu_mem, said) for said in asked]
    return told[0][0], [said for _, said in told]


def _too_many(shares: Sequence[float], n: int) -> str:
    there = "there is one card" if n == 1 else f"there are {n} cards"
    return f"tensor_split has {len(shares)} shares, and {there}; give one for each card"


@frozen
class Asked:
    """What is asked about: `said`, and the configuration that its program makes of it.
    `calibration` is the file that the estimator's coefficients are of, if of one."""

    estimator: Estimator
    said: Said
    config: RunConfig
    calibration: str | None


def asked_of(
    model: str,
    gpu: CardNames,
    gpu_mem: float | str | None,
    calibration: Path | None,
    said: Said,
    machine: Machine | None = None,
) -> Asked:
    """A model on cards: those that are named, else the machine's own; without a card for
    `n_devices` 0.

    ConfigError where no card is named and none is seen.
    """
    cards, said = cards_said(gpu, gpu_mem, said)
    is_own = not cards
    if is_own and said.knobs.get("n_devices") != 0:
        cards, said = own_cards(said)
    on_host = said.knobs.get("n_devices") == 0
    machine = machine_around(said, machine, is_own=is_own or on_host)
    estimator, origin = named_estimator(
        model, cards, calibration, on_host=on_host, machine=machine, beside=said
    )
    said = inferred(said, estimator.riders)
    config = said.config(estimator.model, estimator.gpu_memory_bytes)
    return Asked(estimator=estimator, said=said, config=config, calibration=origin)


def machine_around(said: Said, machine: Machine | None = None, *, is_own: bool) -> Machine:
    """`machine` with the RAM and the reserve that were said; this machine's own RAM where it is
    the one that is asked about."""
    machine = machine or LINUX
    ram = said.ram_bytes or machine.ram_bytes or (own_ram() if is_own else None)
    return replace(
        machine, ram_bytes=ram, reserve_bytes=said.reserve_bytes or machine.reserve_bytes
    )


def own_ram() -> int:
    """This machine's RAM in bytes."""
    import psutil

    return int(psutil.virtual_memory().total)


def own_cards(said: Said) -> tuple[tuple[Card, ...], Said]:
    """The machine's own cards, those that --device names, the first of them where fewer were
    said."""
    cards = tuple(
        Card(spec=gpu_of(seen.name), memory_bytes=seen.memory_bytes, device=f"CUDA{i}")
        for i, seen in enumerate(seen_cards())
    )
    if said.devices:
        cards = chosen_cards(cards, said.devices)
    return cards, replace(said, n_cards=len(said.shares) or len(cards))


def seen_cards() -> tuple[GpuSpec, ...]:
    """The machine's cards in CUDA's order; ConfigError where NVML shows none that the catalogue
    knows."""
    from oomph.measure.nvml import detect_gpus
    from oomph.measure.visible import cuda_order

    try:
        return cuda_order(detect_gpus())
    except (ToolchainError, UnknownNameError) as error:
        why = f": {error}" if isinstance(error, UnknownNameError) else ""
        raise ConfigError(
            f"no card is seen here{why}; name one with --gpu (`oomph gpus` lists them), or ask "
            "about this machine's processor and memory with --n-devices 0"
        ) from None


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

    if not (card or on_host) or not os.path.isdir(calibrations_folder()):
        return None, None
    from oomph.records.environment import llama_cpp_commit, machine_name

    kept = newest_matching(card=card, arch=arch, machine=machine_name(), commit=llama_cpp_commit())
    return (kept.coefficients, str(kept.path)) if kept else (None, None)
