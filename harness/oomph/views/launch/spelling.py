"""What every launch file says of itself in a comment, and how foreign text gets into one.

A model's name and its architecture are untrusted: a line break in one of them would end the comment
or the value that it stands in, and is left out of a name.
"""

import re
from typing import Final

from oomph.advise.answer import MODEL_FILE
from oomph.advise.launch_plan import Launch, slot_context
from oomph.errors import ConfigError
from oomph.estimate.prediction import COMPONENTS, DeviceMemory, Prediction, input_sentences
from oomph.foreign_text import visible
from oomph.programs.said import Said
from oomph.programs.spelling import NoSpellingError
from oomph.units import MIB, count, likely, rate
from oomph.views.asked import asked_sentence
from oomph.views.estimates import warnings
from oomph.views.host import host_paragraph

_ARCHITECTURE: Final = re.compile(r"[A-Za-z0-9_.-]+")


HOST: Final = "127.0.0.1"
"""Where a started server listens unless it is told otherwise."""


def refuse_beside(launch: Launch, program: str) -> None:
    """Unsayable where something is loaded beside the model, which is written for llama-server
    alone."""
    if launch.files:
        raise NoSpellingError(
            f"what is loaded beside the model ({', '.join(launch.files)}) is not written for "
            f"{program}"
        )


def plain(text: str) -> str:
    """Foreign text on one line, what does not print shown."""
    return visible(text)


def alias(launch: Launch) -> str:
    """The model's name as an identifier: letters, digits, `.`, `_` and `-`."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", launch.spec.name).strip("-.") or "model"


def metadata_key(launch: Launch, key: str) -> str:
    """`{architecture}.{key}`; ConfigError for an architecture that is no identifier."""
    if not _ARCHITECTURE.fullmatch(launch.spec.arch):
        raise ConfigError(
            f"{launch.spec.arch!r} is no architecture of llama.cpp; is the file what it says it is?"
        )
    return f"{launch.spec.arch}.{key}"


def about(launch: Launch) -> tuple[str, ...]:
    """What a comment says of the configuration, one line each: what, why, memory by device,
    RoPE."""
    config = launch.config
    experts = f", {config.n_expert_used} active experts" if config.n_expert_used else ""
    lines = [
        f"{plain(launch.spec.name)}: n_ctx {count(config.n_ctx)}{experts}",
        plain(launch.reason),
    ]
    if launch.devices:
        numbers = ",".join(name.removeprefix("CUDA") for name in launch.devices)
        lines.append(
            f"For {', '.join(launch.devices)}: llama-server is told so, for other programs set "
            f"CUDA_VISIBLE_DEVICES={numbers}."
        )
    lines += ["Predicted memory of llama-server in MiB:"]
    lines += [
        f"  {name}: {_components(memory)}"
        for name, memory in launch.prediction.memory.devices.items()
    ]
    lines += [
        f"  of {name}, {rider}: {_components(devices[name])}"
        for rider, devices in launch.prediction.memory.riders.items()
        for name in devices
    ]
    lines.append(host_paragraph(launch.prediction.host, config))
    notes = (f"Note: {plain(note)}" for note in warnings(launch.prediction))
    return (*lines, verdict(launch), *_rope(launch), *notes)


def expectations(launch: Launch) -> tuple[str, ...]:
    """What is said of a launch on a terminal besides: how it was asked, what a slot holds, how
    fast it is."""
    lines = [
        asked_sentence(Said(), launch.config),
        f"tokens of a slot: {count(slot_context(launch.config))}",
    ]
    if launch.speeds:
        empty, full = launch.speeds.empty, launch.speeds.full
        lines.append(
            f"predicted speed: prefill {rate(empty.prefill_tokens_per_s)}, decode "
            f"{rate(empty.decode_tokens_per_s)} tokens/s in an empty slot; decode "
            f"{rate(full.decode_tokens_per_s)} in a full one"
        )
    if launch.prediction.inputs:
        lines += input_sentences(launch.prediction.inputs)
    if launch.model_path == MODEL_FILE:
        lines.append(f"{MODEL_FILE} stands for the model's file: put its path there")
    return tuple(lines)


def verdict(launch: Launch, prediction: Prediction | None = None) -> str:
    """Whether `prediction` (llama-server's, unless another is given) fits, and how likely."""
    prediction = prediction or launch.prediction
    if prediction.fits is None:
        return "Whether it fits was not asked: no card was named."
    card = plain(launch.card) if launch.card else "the card"
    fits = f"It fits {card}" if prediction.fits else f"It does NOT fit {card}"
    probability = prediction.fit_probability
    return f"{fits}." if probability is None else f"{fits}: {likely(probability)}."


def _components(memory: DeviceMemory) -> str:
    parts = ((label, getattr(memory, name)) for name, label in COMPONENTS.items())
    sum_ = " + ".join(f"{label} {n_bytes / MIB:,.2f}" for label, n_bytes in parts if n_bytes)
    return f"{memory.total_bytes / MIB:,.2f} = {sum_}" if sum_ else "0"


def _rope(launch: Launch) -> tuple[str, ...]:
    scaling = launch.scaling
    if scaling is None:
        return ()
    return (
        f"RoPE: {scaling.type}, {count(scaling.original_context_length)} tokens × "
        f"{scaling.factor:g}; without it "
        f"llama-server caps each slot at the file's {count(launch.spec.n_ctx_train)}.",
        f"  {scaling.reason}; the factor holds for short texts too, at a little of their quality.",
    )


def listening(port: int, protection: str) -> tuple[str, ...]:
    """What a script says of where it listens: for this machine alone, and how to change that."""
    return (
        f"Listens on {HOST}, port {port}, for this machine alone. `--host 0.0.0.0` opens it to the",
        "network: whoever reaches it may use it and can read along, as it asks for no key and",
        f"speaks no TLS{protection}.",
    )


def commented(lines: tuple[str, ...], mark: str = "#") -> str:
    """The lines as comments, each ended by a line break."""
    return "".join(f"{mark} {line}".rstrip() + "\n" for line in lines)


def n_card_layers(launch: Launch) -> int:
    """`n_gpu_layers` as a number, for programs that read -1 as "choose for me"; 0 without a
    card."""
    if launch.config.n_devices == 0:
        return 0
    layers = launch.config.n_gpu_layers
    return layers if layers >= 0 else launch.spec.n_layer + 1
