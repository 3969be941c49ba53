"""A log's buffers by the context that they are of, which print them in the same words."""

import re
from collections.abc import Collection, Sequence
from typing import Final

from oomph.measure.logs.progress import Context, context_of
from oomph.measure.logs.reported import read_buffers
from oomph.records.schema import Buffers

RIDING: Final = (Context.MTP, Context.DRAFT)
"""Contexts that a run has beside its model's own to draft with."""
_ADAPTER: Final = re.compile(r"LoRA buffer size")


def buffers_by_context(
    lines: Sequence[str], beside: Collection[Context]
) -> tuple[Buffers, dict[str, Buffers]]:
    """The buffers of the model's own context, and by name those of the contexts `beside` it that
    have any, and of adapters ("lora")."""
    own: list[str] = []
    others: dict[str, list[str]] = {}
    context: Context | None = None
    for line in lines:
        context = context_of(line) or context
        if _ADAPTER.search(line):
            others.setdefault("lora", []).append(line)
        elif context is not None and context in beside:
            others.setdefault(context.value, []).append(line)
        else:
            own.append(line)
    found = {name: read_buffers(each) for name, each in others.items()}
    nothing = Buffers()
    return read_buffers(own), {name: each for name, each in found.items() if each != nothing}
