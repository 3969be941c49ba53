"""Ollama: a Modelfile, where it can run the configuration.

Written against its version 0.33.0, which starts llama-server itself. A Modelfile has no word for
active experts, cache types, RoPE or experts on the CPU, and Ollama cuts num_ctx to the
context_length that the file says.
"""

from collections.abc import Iterator
from typing import Final

from oomph.advise.launch_plan import Launch, slot_context
from oomph.programs.spelling import (
    NoSpellingError,
    checked_path,
    flags_of,
    spelled_knobs,
    unspelled_knobs,
)
from oomph.units import count
from oomph.views.launch.spelling import about, commented, n_card_layers, refuse_beside

_OWN_WAY: Final = (
    "n_batch",
    "n_seq_max",
    "n_outputs_max",
    "n_devices",
    "n_expert_used",
    "n_cpu_moe",
    "override_tensor",
    "tensor_split",
    "split_mode",
    "type_k",
    "type_v",
    "flash_attn",
    "rope_scaling",
    "rope_scale",
    "yarn_orig_ctx",
)
"""What is said below in a sentence, or follows from what is said."""


def render_modelfile(launch: Launch) -> str:
    """A Modelfile for `ollama create NAME -f Modelfile`; its comments say what is set elsewhere.
    NoSpellingError for a configuration that Ollama would not run."""
    refuse_beside(launch, "Ollama")
    if lacking := tuple(_lacking(launch)):
        raise NoSpellingError(f"Ollama cannot be told {'; nor '.join(lacking)}")
    config = launch.config.with_(
        n_ctx=slot_context(launch.config), n_gpu_layers=n_card_layers(launch)
    )
    said = spelled_knobs(config, "ollama", ("n_ctx", "n_ubatch", "n_gpu_layers"))
    return (
        commented((*about(launch), *_elsewhere(launch)))
        + f"FROM {_quoted(checked_path(launch.model_path))}\n"
        + "".join(f"PARAMETER {name} {value}\n" for name, value in flags_of(said, "ollama").items())
    )


def _lacking(launch: Launch) -> Iterator[str]:
    """What it has no word for, so that it would run something else."""
    config = launch.config
    if config.n_expert_used and config.n_expert_used != launch.spec.n_expert_used:
        yield (
            f"the {config.n_expert_used} active experts (it runs the file's own "
            f"{launch.spec.n_expert_used})"
        )
    if slot_context(config) > launch.spec.n_ctx_train:
        yield (
            f"RoPE scaling, or a context beyond the file's {count(launch.spec.n_ctx_train)} "
            "(num_ctx is cut to that)"
        )
    if config.n_cpu_moe or config.override_tensor:
        yield "experts on the CPU (it leaves whole layers there, num_gpu)"
    if config.tensor_split or config.split_mode != "layer":
        yield "how the cards share the model"
    if config.type_k != config.type_v:
        yield f"a {config.type_k} cache of K beside a {config.type_v} one of V"
    for name in unspelled_knobs(config, "ollama", _OWN_WAY):
        yield f"{name} {getattr(config, name)}"


def _elsewhere(launch: Launch) -> Iterator[str]:
    """What `ollama serve` is told instead."""
    config = launch.config
    if (config.type_k, config.type_v) != ("f16", "f16"):
        yield f"The cache's type: start `ollama serve` with OLLAMA_KV_CACHE_TYPE={config.type_k}."
    if config.flash_attn == "off":
        yield "Flash attention: start `ollama serve` with OLLAMA_FLASH_ATTENTION=0."


def _quoted(path: str) -> str:
    """A path as Ollama's parser takes it: to the end of the line, quoted only for the sake of a
    blank at its end."""
    return f'"{path}"' if path != path.strip() else path
