"""What llama.cpp's --fit is asked, and what it chose.

It changes only what its user left open: the context, and where the layers go. Which those are, a
configuration alone does not tell (`-ngl 99` and no `-ngl` place the same), so the question does.
"""

from collections.abc import Sequence
from typing import Final

from oomph.config import RunConfig
from oomph.errors import ConfigError
from oomph.frozen import frozen

LEAST_CONTEXT: Final = 4096
"""The context below which llama.cpp moves layers instead (common/common.h, fit_params_min_ctx)."""
DIES: Final = "it divides by zero"
"""Ends llama.cpp itself (SIGFPE)."""


@frozen
class FitQuestion:
    """`free_bytes` is what each card's driver calls free once the CUDA context is made, in CUDA's
    order; `margin_bytes` what is to be left of it (`--fit-target`).

    `n_ctx_is_open` where the user named no context (or 0, the model's own), `layers_are_open` where
    no `-ngl`. `n_ctx_least` is `--fit-ctx`; None, as for `-c 0`, keeps the model's own context.
    """

    config: RunConfig
    free_bytes: Sequence[int]
    margin_bytes: Sequence[int]
    n_ctx_least: int | None = LEAST_CONTEXT
    n_ctx_is_open: bool = True
    layers_are_open: bool = True

    def __post_init__(self) -> None:
        """Raises ConfigError unless each card of the configuration has its memory and margin."""
        n_cards = self.config.n_devices
        if not n_cards or len(self.free_bytes) != n_cards or len(self.margin_bytes) != n_cards:
            raise ConfigError(
                f"--fit is asked of {n_cards} cards, {len(self.free_bytes)} with memory and "
                f"{len(self.margin_bytes)} with a margin; give each card both"
            )


@frozen
class Fitted:
    """`config` is what llama.cpp loads, whether or not it fits.

    `gave_up` is why --fit changed no more, in llama.cpp's words where it has any; None where it
    believes that all fits. `DIES` is where it takes the program with it.
    """

    config: RunConfig
    gave_up: str | None = None
