"""A command line as people paste it, of any program that oomph knows, as one question."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from oomph.errors import ConfigError
from oomph.knob import Program
from oomph.programs.koboldcpp import read_koboldcpp
from oomph.programs.llama import read_llama
from oomph.programs.llama_bench import read_llama_bench
from oomph.programs.llama_cpp_python import is_call, read_call, read_python_server
from oomph.programs.lm_studio import read_lms
from oomph.programs.ollama import is_modelfile, read_modelfile, read_ollama
from oomph.programs.pasted import WHERE, Collected, Pasted, shortened
from oomph.programs.presets import is_preset, preset_words
from oomph.programs.said import DEFAULT_PROGRAM
from oomph.programs.shell import straightened
from oomph.programs.textgen import is_textgen, read_textgen
from oomph.programs.wrapping import read_invocation

Reader = Callable[[Sequence[str], Mapping[str, str], Collected], None]
_READERS: Final[Mapping[Program, Reader]] = {
    "llama-server": read_llama,
    "llama-cli": read_llama,
    "llama-bench": read_llama_bench,
    "llama-cpp-python": read_python_server,
    "ollama": read_ollama,
    "lm-studio": read_lms,
    "koboldcpp": read_koboldcpp,
    "text-generation-webui": read_textgen,
}
_DEAF: Final = ("llama-bench", "koboldcpp", "llama-cpp-python", "lm-studio")
"""Those that read no LLAMA_ARG_ variables."""


def read_command(text: str, program: Program | None = None) -> Pasted:
    """The question that a command line asks: its program's, or `program`'s in place of it, whose
    defaults then stand for the rest.

    Also of a Modelfile, a models preset, a `Llama(...)` call, CMD_FLAGS.txt, and of what wraps
    commands (docker, compose, systemd, PowerShell). Nothing is run and no variable of this process
    is read. ConfigError, in one sentence, for a text that has no such command, or a value that
    cannot be.
    """
    plain = straightened(text)
    if not plain.strip():
        raise ConfigError(f"{WHERE} is empty; paste a command line, or - and give it as input")
    if is_call(plain):
        into = Collected(program="llama-cpp-python")
        read_call(plain, into)
    elif is_preset(plain):
        into = Collected(program="llama-server")
        read_llama(preset_words(plain, into), {}, into)
    elif is_modelfile(plain):
        into = Collected(program="ollama")
        read_modelfile(plain, into)
    else:
        into = _invoked(plain, program)
    into.program = program or into.program
    return into.pasted()


def _invoked(text: str, program: Program | None) -> Collected:
    found = read_invocation(text)
    named = next((each for each in _READERS if each == found.program), None)
    if named is None:  # flags alone
        named = program or DEFAULT_PROGRAM
        if is_textgen(found.words):
            named = "text-generation-webui"
        elif any(name.startswith("OLLAMA_") for name in found.environment):
            named = "ollama"
    into = Collected(program=named, visible_devices=found.environment.get("CUDA_VISIBLE_DEVICES"))
    _READERS[named](found.words, found.environment, into)
    if named in _DEAF and any(name.startswith("LLAMA_ARG_") for name in found.environment):
        into.notes.append(f"{named} reads no LLAMA_ARG_ variables.")
    if found.others:
        into.notes.append(
            f"Of {found.others + 1} commands the first is read: {named}"
            f"{f' {shortened(into.model)}' if into.model else ''}."
        )
    return into
