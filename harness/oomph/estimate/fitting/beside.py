"""What --fit counts of a second context (common_fit_extra_model of llama.cpp's common/fit.h).

It is measured as its user set it, at the target's context, and laid out anew only where that
changes; an MTP head's weights are the target's, and move with its layers.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from oomph.cards import Card
from oomph.config import RunConfig
from oomph.estimate.draft import DraftModel, MtpHead
from oomph.estimate.fitting.shares import divided
from oomph.estimate.memory import MemoryModel


class Beside:
    """The second context of one fit: `drafter` in a dry run, beside `target` as its user set it
    (`asked`) on cards of so much free memory."""

    def __init__(
        self,
        drafter: MtpHead | DraftModel,
        target: MemoryModel,
        asked: RunConfig,
        free_bytes: Sequence[int],
    ) -> None:
        self._drafter, self._target, self._asked = drafter, target, asked
        self._free_bytes = free_bytes
        names = target.setup(asked).placement.cards
        self._cards = tuple(
            Card(memory_bytes=n, free_bytes=n, device=name)
            for name, n in zip(names, free_bytes, strict=True)
        )
        self._measured: dict[int, Mapping[str, int]] = {}

    @property
    def is_of_target(self) -> bool:
        """Whether its weights are in the target's file: layers of it, to llama.cpp."""
        return isinstance(self._drafter, MtpHead)

    def weights(self, config: RunConfig) -> Mapping[str, int]:
        """Bytes by device that the target's own weights grow by, under `config`."""
        if not self.is_of_target:
            return {}
        setup = self._target.setup(config)
        return self._drafter.fixed_bytes(config, setup, self._cards)["weights_bytes"]

    def context(self, n_ctx: int) -> Mapping[str, int]:
        """All other bytes by device, at a context of so many tokens."""
        if n_ctx not in self._measured:
            config = replace(self._asked, n_ctx=n_ctx)
            if len(self._cards) > 1:
                config = divided(config, self._free_bytes)
            setup = self._target.setup(config)
            parts = dict(self._drafter.fixed_bytes(config, setup, self._cards))
            if self.is_of_target:
                del parts["weights_bytes"]
            buffers = self._drafter.compute_buffers(config, setup, self._cards)
            total: Counter[str] = Counter(buffers.bytes)
            for part in parts.values():
                total.update(part)
            self._measured[n_ctx] = total
        return self._measured[n_ctx]
