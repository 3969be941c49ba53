"""The host's memory in words and as JSON: held, mapped, filled in use; and what the RAM says.

Its sentences are words put together, not a template: most commands say them, and some say nothing
else that Jinja would have to be loaded for.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from oomph.config import RunConfig
from oomph.estimate.host import HostFit
from oomph.estimate.host_memory import fitting_caches
from oomph.units import mib
from oomph.views.language import NBSP, respell, words_of

Words = Mapping[str, Any]
Size = Callable[[int], str]


def host_paragraph(host: HostFit, config: RunConfig, language: str = "en") -> str:
    """What `config` takes of the host's memory, and how the RAM stands to it, on one line."""
    words = words_of(language, "host")

    def size(n_bytes: int) -> str:
        text = respell(mib(n_bytes), language)
        return text if language == "ru" else text.replace(NBSP, " ")

    sentences = (
        _held(host, config, words, size),
        _in_use(host, config, words, size),
        *_room(host, config, words, size),
    )
    return " ".join(filter(None, sentences))


def _held(host: HostFit, config: RunConfig, words: Words, size: Size) -> str:
    """What is held from the start, and which pages are the file's."""
    memory = host.memory
    program = words["program_and_cuda" if config.n_devices else "program"]
    parts = [
        (words["weights"], memory.weights_bytes or None),
        (words["caches"], memory.cache_bytes or None),
        (words["buffers"], memory.buffer_bytes),
        (program, memory.process_bytes),
    ]
    told = [part.format(size(n_bytes)) for part, n_bytes in parts if n_bytes is not None]
    mapped = words["mapped"].format(size(memory.mapped_bytes)) if memory.mapped_bytes else ""
    held = words["held"].format(held=size(memory.held_bytes), parts=", ".join(told))
    return f"{held}{mapped}."


def _in_use(host: HostFit, config: RunConfig, words: Words, size: Size) -> str:
    """What fills while it runs; nothing where nothing does."""
    memory, told = host.memory, list[str]()
    if memory.checkpoints_bytes:
        key = "checkpoints_of_one" if config.n_seq_max == 1 else "checkpoints"
        kept = size(memory.checkpoints_bytes)
        told.append(words[key].format(n=config.n_seq_max, size=kept, each=config.ctx_checkpoints))
    if memory.prompt_cache_bytes is None:
        told.append(words["saved_without_limit"])
    elif memory.prompt_cache_bytes:
        told.append(words["saved"].format(size(memory.prompt_cache_bytes)))
    if not told:
        return ""
    most = "" if memory.most_bytes is None else words["most"].format(size(memory.most_bytes))
    return str(words["grows"].format(most=most, what=", ".join(told)))


def _room(host: HostFit, config: RunConfig, words: Words, size: Size) -> Iterator[str]:
    """How the machine's RAM stands to all of it."""
    most = host.memory.most_bytes
    if host.state is None or host.room_bytes is None:
        yield words["unsaid"]
    elif host.state == "holds":
        more = "" if most is None else words["more"].format(size(host.room_bytes - most))
        yield words["holds_shared" if host.is_shared else "holds"].format(more=more)
    elif host.state == "may_fill":
        share = words["and_the_card"] if host.is_shared else ""
        yield words["may_fill"].format(share=share, room=size(host.room_bytes))
        if fitting := fitting_caches(host, config):
            yield words["these_fit"].format(fitting.cache_ram_mib, fitting.ctx_checkpoints)
    else:
        yield words[host.state].format(size(host.room_bytes))


def host_json(host: HostFit) -> dict[str, Any]:
    """The same for programs, in bytes; `most_bytes` is None where the prompt cache has no limit,
    `room_bytes` and `state` where nobody said what RAM there is."""
    memory = host.memory
    return {
        **asdict(memory),
        "held_bytes": memory.held_bytes,
        "busy_bytes": memory.busy_bytes,
        "most_bytes": memory.most_bytes,
        "room_bytes": host.room_bytes,
        "is_shared": host.is_shared,
        "state": host.state,
    }
