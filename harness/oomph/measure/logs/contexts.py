"""A log's buffers by the context that they are of, which print them in the same words."""

from collections.abc import Collection, Sequence

from oomph.measure.logs.progress import Context, context_of
from oomph.measure.logs.reported import read_buffers
from oomph.records.schema import Buffers


def buffers_by_context(
    lines: Sequence[str], beside: Collection[Context]
) -> tuple[Buffers, dict[str, Buffers]]:
    """The buffers of the model's own context, and by name those of the contexts `beside` it that
    have any."""
    own: list[str] = []
    others: dict[str, list[str]] = {}
    context: Context | None = None
    for line in lines:
        context = context_of(line) or context
        if context is not None and context in beside:
            others.setdefault(context.value, []).append(line)
        else:
            own.append(line)
    found = {name: read_buffers(each) for name, each in others.items()}
    nothing = Buffers()
    return read_buffers(own), {name: each for name, each in found.items() if each != nothing}
