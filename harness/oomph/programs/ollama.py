"""Ollama: Modelfiles, `ollama run`, `/set parameter`, its variables."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from oomph.config import keys_of
from oomph.programs.llama import read_llama
from oomph.programs.pasted import Collected, shortened

_KNOBS: Final = {key: knob for knob, key in keys_of("ollama").items()}
_VARIABLES: Final = {
    "OLLAMA_CONTEXT_LENGTH": "n_ctx",
    "OLLAMA_NUM_PARALLEL": "n_seq_max",
    "OLLAMA_FLASH_ATTENTION": "flash_attn",
}
"""ollama: envconfig/config.go."""
_UNMODELLED: Final = {
    "OLLAMA_GPU_OVERHEAD": "so much of the card is left free",
    "OLLAMA_MAX_LOADED_MODELS": "several models in memory at once; the answer is of one",
    "OLLAMA_SCHED_SPREAD": "layers are spread over all cards; say how many with --n-devices",
    "OLLAMA_NEW_ENGINE": "another engine than llama.cpp's",
    "draft_num_predict": "a draft takes memory of its own",
    "use_mmap": "how the file is read: host memory",
    "use_mlock": "how the file is read: host memory",
}
_IDLE: Final = (
    "OLLAMA_HOST", "OLLAMA_ORIGINS", "OLLAMA_MODELS", "OLLAMA_KEEP_ALIVE", "OLLAMA_DEBUG",
    "OLLAMA_NOHISTORY", "OLLAMA_NOPRUNE", "OLLAMA_LOAD_TIMEOUT", "OLLAMA_MAX_QUEUE",
    "OLLAMA_LLM_LIBRARY", "OLLAMA_TMPDIR", "OLLAMA_REMOTES", "OLLAMA_NO_CLOUD",
    "--verbose", "--think", "--format", "--keepalive", "--insecure", "--nowordwrap",
    "--hidethinking", "--dimensions",
)  # fmt: skip
_VALUED: Final = ("--format", "--keepalive", "--dimensions")
_NEUTRAL: Final = (
    "temperature", "top_k", "top_p", "min_p", "typical_p", "seed", "stop", "num_predict",
    "num_keep", "repeat_last_n", "repeat_penalty", "presence_penalty", "frequency_penalty",
    "mirostat", "mirostat_eta", "mirostat_tau", "penalize_newline", "tfs_z", "numa",
)  # fmt: skip
_ROW: Final = re.compile(
    r"(?im)^[ \t]*(?:>>> ?)?(?:(?P<set>/set )?parameter)[ \t]+(\w+)[ \t]+(.*)$"
)
_FROM: Final = re.compile(r"(?im)^[ \t]*FROM[ \t]+(.+)$")
_ADAPTER: Final = re.compile(r"(?im)^[ \t]*ADAPTER[ \t]+(.+)$")


def is_modelfile(text: str) -> bool:
    """Whether a text is a Modelfile, or sets parameters in Ollama's prompt."""
    has_parameters = _ROW.search(text) is not None
    is_docker = re.search(r"(?m)^[ \t]*(?:ENTRYPOINT|CMD|RUN|ENV|COPY)\s", text)
    return has_parameters or (_FROM.search(text) is not None and is_docker is None)


def read_modelfile(text: str, into: Collected) -> None:
    """Put what a Modelfile says into `into`."""
    if source := _FROM.search(text):
        into.model = source[1].strip().strip('"')
    for adapter in _ADAPTER.findall(text):
        into.add_unmodelled(f"ADAPTER {adapter}", "an adapter takes its file's size")
    for _, name, value in _ROW.findall(text):
        _parameter(name.lower(), value.strip().strip('"'), into)
    run = re.search(r"(?m)^[ \t]*ollama[ \t]+run[ \t]+([^-\s]\S*)", text)
    if run:
        into.model = run[1]


def read_ollama(words: Sequence[str], environment: Mapping[str, str], into: Collected) -> None:
    """Put what `ollama run MODEL` and the variables say into `into`. LLAMA_ARG_ variables go on to
    its llama-server."""
    own = {name: value for name, value in environment.items() if name.startswith("OLLAMA_")}
    read_llama((), {name: value for name, value in environment.items() if name not in own}, into)
    for name, value in own.items():
        _variable(name, value, into)
    rest, plain = list(words), list[str]()
    while rest:
        word, equals, _ = rest.pop(0).partition("=")
        if not word.startswith("-"):
            plain.append(word)
        elif word in _IDLE:
            into.idle.append(word)
            if word in _VALUED and not equals and rest:
                rest.pop(0)
        else:
            into.add_unknown(word, _IDLE)
    if plain[:1] in (["run"], ["show"], ["pull"]) and len(plain) > 1:
        into.model = plain[1]


def _parameter(name: str, value: str, into: Collected) -> None:
    if knob := _KNOBS.get(name):
        if (name, value) == ("num_thread", "0"):
            return
        into.take(knob, value, name)
        if name == "num_batch":
            into.take("n_batch", value, name)
    elif name in _UNMODELLED:
        into.add_unmodelled(f"{name} {value}", _UNMODELLED[name])
    elif name in _NEUTRAL:
        into.idle.append(name)
    else:
        into.add_unknown(f"{name} {value}", [*_KNOBS, *_NEUTRAL])


def _variable(name: str, value: str, into: Collected) -> None:
    if name == "OLLAMA_KV_CACHE_TYPE":
        for knob in ("type_k", "type_v"):
            into.take(knob, value, name)
    elif name in _VARIABLES:
        knob = _VARIABLES[name]
        if (knob, value) != ("n_ctx", "0"):  # which is by the card's memory
            into.take(knob, value, name)
    elif name in _UNMODELLED:
        into.add_unmodelled(f"{name}={shortened(value)}", _UNMODELLED[name])
    elif name in _IDLE:
        into.idle.append(name)
    else:
        into.add_unknown(name, [*_VARIABLES, *_UNMODELLED, *_IDLE])
