"""--fit, --fit-target and --fit-ctx: that llama.cpp chooses what nobody set, and within what.

They are no knobs: what runs is a configuration, and these say how llama.cpp comes to one. The
search is `oomph.estimate.fitting`; here is what was said of it.
"""

import re
from typing import Final

from oomph.errors import ConfigError
from oomph.frozen import frozen
from oomph.programs.flags import OFF, ON
from oomph.units import MIB, read_count

FITTING: Final = ("llama-server", "llama-cli")
"""The programs of llama.cpp that fit by themselves (common_init_from_params)."""
MARGIN_BYTES: Final = 1 << 30
"""What llama.cpp leaves free on each card (common/common.h, fit_params_target)."""
MOST_MIB: Final = 1 << 24


@frozen
class FitFlags:
    """`target_mib` is what is to be left free of each card, one value for all of them, or of the
    first ones; `n_ctx_least` the shortest context, None where nothing was said of it."""

    target_mib: tuple[int, ...] = ()
    n_ctx_least: int | None = None

    def margins(self, n_cards: int) -> list[int]:
        """Bytes that each of so many cards is to keep."""
        targets = [mib * MIB for mib in self.target_mib]
        if len(targets) == 1:
            return targets * n_cards
        return (targets + [MARGIN_BYTES] * n_cards)[:n_cards]


def read_switch(text: str) -> bool:
    """`--fit`'s value; ConfigError for what is neither on nor off."""
    word = text.strip().lower()
    if word not in (*ON, *OFF):
        raise ConfigError(f"--fit is {text[:40]!r}; it takes on or off")
    return word in ON


def read_fit(target: str | None = None, least: str | None = None) -> FitFlags:
    """What --fit-target (MiB, by comma a card each) and --fit-ctx say; ConfigError for what cannot
    be."""
    parts = [part for part in re.split("[,/]+", target or "") if part.strip()]
    if not all(part.strip().isascii() and part.strip().isdecimal() for part in parts):
        raise ConfigError(f"--fit-target is {target!r}; it takes MiB, as 1024, or 1024,512")
    sizes = tuple(int(part[:12]) for part in parts)
    if any(size > MOST_MIB for size in sizes):
        raise ConfigError(f"--fit-target is {(target or '')[:40]!r}; no card has so much")
    try:
        n_ctx = None if least is None else read_count(least)
    except ValueError:
        n_ctx = 0
    if n_ctx is not None and not 0 < n_ctx < 1 << 31:
        raise ConfigError(f"--fit-ctx is {(least or '')[:40]!r}; it takes tokens, as 4096")
    return FitFlags(target_mib=sizes, n_ctx_least=n_ctx)
