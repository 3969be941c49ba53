"""koboldcpp's words as knobs (koboldcpp.py, argparse of 1.120)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from oomph.config import keys_of
from oomph.programs.llama import ALL_LAYERS
from oomph.programs.pasted import Collected

_ALIASES: Final[Mapping[str, str]] = {
    "--ctx-size": "--contextsize", "-c": "--contextsize",
    "--blasbatchsize": "--batchsize", "--batch-size": "--batchsize", "-b": "--batchsize",
    "--gpu-layers": "--gpulayers", "--n-gpu-layers": "--gpulayers", "-ngl": "--gpulayers",
    "--no-flash-attn": "--noflashattention", "-nofa": "--noflashattention",
    "--swa-full": "--noswa", "-ts": "--tensor_split", "--tensor-split": "--tensor_split",
    "-mg": "--maingpu", "--main-gpu": "--maingpu", "-sm": "--splitmode",
    "--split-mode": "--splitmode", "-ncmoe": "--moecpu", "--n-cpu-moe": "--moecpu",
    "-ot": "--overridetensors", "--override-tensor": "--overridetensors",
    "--override-kv": "--overridekv", "-nkvo": "--lowvram", "--no-kv-offload": "--lowvram",
    "-t": "--threads", "-m": "--model", "--usecublas": "--usecuda", "--usehipblas": "--usecuda",
    "-md": "--draftmodel", "--model-draft": "--draftmodel", "--continuous-batching":
    "--parallelrequests", "--contbatch": "--parallelrequests", "--fit": "--autofit",
    "-fit": "--autofit",
}  # fmt: skip
_KNOBS: Final = {f"--{key}": knob for knob, key in keys_of("koboldcpp").items()} | {
    "--splitmode": "split_mode"
}
_FIXED: Final[Mapping[str, tuple[str, Any]]] = {
    "--noflashattention": ("flash_attn", "off"),
    "--noswa": ("swa_full", True),
    "--lowvram": ("offload_kqv", False),
    "--usecpu": ("n_devices", 0),
}
"""Switches, each with the knob and the value that it stands for."""
_CACHES: Final = {"0": "f16", "1": "q8_0", "2": "q4_0", "3": "bf16"}
_UNMODELLED: Final = {
    "--mmproj": "the projector takes its file's size on the card and a compute buffer",
    "--draftmodel": "a draft model takes its weights, a KV cache and a compute buffer of its own",
    "--usemtp": "speculation takes weights, a KV cache and recurrent states of its own",
    "--lora": "an adapter takes its file's size",
    "--enableguidance": "guidance takes a second context of the same size",
    "--smartcache": "copies of the KV cache in host memory",
    "--sdmodel": "a model of images beside it",
    "--whispermodel": "a model of speech beside it",
    "--ttsmodel": "a model of speech beside it",
    "--embeddingsmodel": "a model of embeddings beside it",
    "--autofit": "layers move to the host where it does not fit; the answer is of what was asked",
    "--autofitpadding": "the room that --autofit leaves on a card",
    "--usevulkan": "another backend than CUDA: compute buffers may differ",
    "--useclblast": "another backend than CUDA: compute buffers may differ",
    "--usemlock": "how the file is read: host memory",
    "--usemmap": "how the file is read: host memory",
    "--usedirectio": "how the file is read: host memory",
    "--overridekv": "the file's own values stand in the figures",
    "--config": "a file of settings that is not read; paste what stands in it",
}
_IDLE: Final = (
    "--port", "--host", "--multiuser", "--quiet", "--launch", "--skiplauncher", "--smartcontext",
    "--noshift", "--blasthreads", "--ropeconfig", "--highpriority", "--password", "--ssl",
    "--remotetunnel", "--websearch", "--chatcompletionsadapter", "--jinja", "--gendefaults",
    "--nommap", "--flashattention", "-fa", "--debugmode", "--foreground", "--preloadstory",
    "--benchmark", "--prompt", "--nopipelineparallel", "--defaultgenamt", "--swapadding",
    "--useswa", "--showgui", "--admin", "--visionmaxres", "--nomodel", "--draftamount",
)  # fmt: skip


def read_koboldcpp(words: Sequence[str], environment: Mapping[str, str], into: Collected) -> None:
    """Put what the words of koboldcpp say into `into`."""
    rest, options = list(words), dict[str, list[str]]()
    while rest:
        name, equals, glued = rest.pop(0).partition("=")
        if not name.startswith("-"):
            into.model = into.model or name
            continue
        values = [glued] if equals else []
        while rest and not (rest[0].startswith("-") and not _is_number(rest[0])):
            values.append(rest.pop(0))
        options[_ALIASES.get(name, name)] = values
    for name, values in options.items():
        _read(name, values, into, is_piped="--nopipelineparallel" not in options)


def _is_number(word: str) -> bool:
    return word.lstrip("-").replace(".", "", 1).isdigit()


def _read(name: str, values: list[str], into: Collected, *, is_piped: bool) -> None:
    value = values[0] if values else ""
    if name in _FIXED:
        knob, fixed = _FIXED[name]
        into.take(knob, fixed, name)
    elif name in _OWN:
        _OWN[name](values, into)
    elif name in _KNOBS:
        into.take(_KNOBS[name], value, name)
        if name == "--batchsize":
            n_ubatch = into.knobs["n_ubatch"]
            into.take("n_batch", 2 * n_ubatch if is_piped else n_ubatch, name)
    elif name in _UNMODELLED:
        into.add_unmodelled(f"{name} {' '.join(values)}".strip(), _UNMODELLED[name])
    elif name in _IDLE:
        into.idle.append(name)
    else:
        known = (*_KNOBS, *_FIXED, *_OWN, *_ALIASES, *_UNMODELLED, *_IDLE)
        into.add_unknown(f"{name} {' '.join(values)}".strip(), known)


def _model(values: list[str], into: Collected) -> None:
    into.model = values[0] if values else into.model


def _cache(values: list[str], into: Collected) -> None:
    value = values[0] if values else ""
    for knob in ("type_k", "type_v"):
        into.take(knob, _CACHES.get(value, value), "--quantkv")


def _cuda(values: list[str], into: Collected) -> None:
    if "lowvram" in values:
        into.take("offload_kqv", False, "--usecuda lowvram")
    if "rowsplit" in values:
        into.take("split_mode", "row", "--usecuda rowsplit")


def _split(values: list[str], into: Collected) -> None:
    into.take("tensor_split", ",".join(values), "--tensor_split")


def _experts_on_host(values: list[str], into: Collected) -> None:
    into.take("n_cpu_moe", values[0] if values else ALL_LAYERS, "--moecpu")


def _experts(values: list[str], into: Collected) -> None:
    if values != ["-1"]:  # the model's own
        into.take("n_expert_used", " ".join(values), "--moeexperts")


def _slots(values: list[str], into: Collected) -> None:
    into.take("n_seq_max", values[0] if values else "1", "--parallelrequests")
    if into.knobs["n_seq_max"] > 1:  # one more, for itself
        into.knobs["n_seq_max"] += 1


_OWN: Final[Mapping[str, Callable[[list[str], Collected], None]]] = {
    "--model": _model,
    "--quantkv": _cache,
    "--usecuda": _cuda,
    "--tensor_split": _split,
    "--moecpu": _experts_on_host,
    "--moeexperts": _experts,
    "--parallelrequests": _slots,
}
