"""llama-server's and llama-cli's words as knobs, by llama.cpp's own spellings."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from oomph.architectures.names import HF_USUAL
from oomph.config import KNOBS, RunConfig, defaults_of
from oomph.errors import ConfigError
from oomph.programs.defaults import PROGRAMS
from oomph.programs.flags import OFF, ON, Flag, by_spelling, by_variable, knob_names
from oomph.programs.pasted import WHERE, Collected, is_path, named_devices, shortened

ALL_LAYERS: Final = 999
"""More layers than any model has, for `--cpu-moe`."""
_UNSET: Final = {
    "n_seq_max": ("-1",),
    "n_gpu_layers": ("-1", "auto"),
    "spec_draft_ngl": ("-1", "auto"),
    "n_threads": ("-1", "0"),
    "yarn_orig_ctx": ("0",),
    "rope_scale": ("0", "0.0"),
    "image_min_tokens": ("-1", "0"),
    "image_max_tokens": ("-1", "0"),
}
"""Values that stand for "as if it were left out"."""
_BACKENDS: Final = ("CUDA", "CPU", "BLAS")
_LISTS: Final = ("spec_type", "override_tensor", "spec_draft_override_tensor")
_ALL_EXPERTS: Final = {"cpu-moe": "n_cpu_moe", "spec-draft-cpu-moe": "spec_draft_n_cpu_moe"}
"""Flags without a value that are the knob for more layers than there are."""


def read_llama(words: Sequence[str], environment: Mapping[str, str], into: Collected) -> None:
    """Put what the words and variables of llama-server or llama-cli say into `into`; the words
    win."""
    reader = _Reader(into)
    for name, value in environment.items():
        reader.read_variable(name, value)
    for written, flag, is_on, value in spoken(words, into):
        reader.read(written, flag, is_on=is_on, value=value)
    reader.finish()


def spoken(words: Sequence[str], into: Collected) -> Iterator[tuple[str, Flag, bool, str]]:
    """Each flag as it is written, whether it is turned on, and its value; what is no flag goes to
    `into.unknown`. ConfigError for a flag whose value is missing."""
    table, rest = by_spelling(), list(words)
    while rest:
        written = rest.pop(0)
        name, equals, glued = written.partition("=")
        name = normalized(name)
        if name not in table:
            _take_unknown(written, rest, into)
            continue
        flag, is_on = table[name]
        if equals:
            into.refused.append(f"{shortened(written)} (read as {name} {shortened(glued)})")
            yield name, flag, is_on, glued
            continue
        yield name, flag, is_on, _value(name, flag, rest, into) if is_on else ""


def normalized(name: str) -> str:
    """A long flag with dashes for underscores, as common/arg.cpp takes it."""
    return name.replace("_", "-") if name.startswith("--") else name


def _take_unknown(written: str, rest: list[str], into: Collected) -> None:
    """A flag that there is not goes with the word after it; a file that stands alone is the
    model."""
    if written.startswith("-"):
        has_value = "=" not in written and rest and not rest[0].startswith("-")
        value = f" {rest.pop(0)}" if has_value else ""
        into.add_unknown(f"{written}{value}", by_spelling())
    elif into.model is None and written.lower().endswith(".gguf"):
        into.model = written
    else:
        into.add_unknown(written)


def _value(name: str, flag: Flag, rest: list[str], into: Collected) -> str:
    if flag.may_stand_alone and (not rest or rest[0].lower() not in (*ON, *OFF, "auto", "-1")):
        if rest and not rest[0].startswith("-"):
            raise ConfigError(
                f"{WHERE}: {name} {shortened(rest[0])}: it takes {flag.value.strip('[]')}"
            )
        into.refused.append(f"{name} without a value (read as on, as older builds have it)")
        return "on"
    if len(rest) < flag.n_values:
        raise ConfigError(f"{WHERE}: {name} has no value; it takes {flag.value}")
    taken = [rest.pop(0) for _ in range(flag.n_values)]
    return " ".join(taken)


_OLD_MODES: Final = {
    ("mmap", False): "none",
    ("mlock", True): "mmap+mlock",
    ("direct-io", True): "dio",
}
"""What older builds' switches of reading the file are as --load-mode."""


class _Reader:
    """Puts one flag after the other into `into`; what hangs on several waits for `finish`."""

    def __init__(self, into: Collected) -> None:
        self.into = into
        self.repository: str | None = None
        self.file: str | None = None
        self.per_slot: int | None = None
        self.has_projector = False
        self.overrides = ""

    def read_variable(self, name: str, value: str) -> None:
        """One environment variable."""
        if (entry := by_variable().get(name)) is not None:
            flag, is_on = entry
            if not flag.value:
                is_on = is_on if value.lower() in ON else not is_on
                if not flag.negative and not is_on:
                    return
            self.read(name, flag, is_on=is_on, value=value if flag.value else "")
        elif name.startswith("LLAMA_ARG_"):
            self.into.add_unknown(name, by_variable())

    def read(self, written: str, flag: Flag, *, is_on: bool, value: str) -> None:
        """One flag; `value` is empty for a switch."""
        if flag.name in ("mmproj", "mmproj-url", "mmproj-auto"):
            self.has_projector = True  # said, in one way or the other
        if flag.name in knob_names():
            self._read_knob(written, flag, is_on=is_on, value=value)
        elif flag.kind == "read":
            self._read_own(written, flag, value)
        elif flag.kind == "gone":
            self.into.refused.append(f"{shortened(written)} ({flag.effect})")
            if mode := _OLD_MODES.get((flag.name, is_on)):
                self.into.take("load_mode", mode, written)
        elif flag.effect and not self._is_idle(flag, is_on=is_on, value=value):
            self.into.add_unmodelled(f"{written} {value}".strip(), flag.effect)
        else:
            self.into.idle.append(written)

    def _is_idle(self, flag: Flag, *, is_on: bool, value: str) -> bool:
        said = value.lower() if flag.value else "on" if is_on else "off"
        return bool(flag.idle) and set(said.split(",")) <= set(flag.idle)

    def _read_knob(self, written: str, flag: Flag, *, is_on: bool, value: str) -> None:
        knob = knob_names()[flag.name]
        if not flag.value:
            self.into.take(knob, is_on, written)
        elif value in _UNSET.get(knob, ()):
            self.into.knobs.pop(knob, None)
        elif knob in _LISTS:  # each is one more
            listed = [*filter(None, [self.into.knobs.get(knob)]), value]
            self.into.take(knob, ",".join(listed), written)
        else:
            if knob in ("type_k", "type_v") and (kind := KNOBS[knob].words.get(value)):
                self.into.refused.append(f"{written} {value} (read as {kind})")
            self.into.take(
                knob,
                "-1" if value == "-2" and knob in ("n_gpu_layers", "spec_draft_ngl") else value,
                written,
            )

    def _read_own(self, written: str, flag: Flag, value: str) -> None:
        into = self.into
        if flag.name in ("model", "model-url"):
            into.model = value
        elif flag.name == "hf-repo":
            self.repository = value
        elif flag.name == "hf-file":
            self.file = value
        elif flag.name in _FILES:
            self._read_file(_FILES[flag.name], value)
        elif flag.name in ("fit", "fit-target", "fit-ctx"):
            into.fit[flag.name] = value
        elif flag.name in _ALL_EXPERTS:
            into.take(_ALL_EXPERTS[flag.name], ALL_LAYERS, written)
        elif flag.name == "reranking":
            into.take("embeddings", True, written)
            into.take("pooling", "rank", written)
        elif flag.name == "override-kv":
            if self.overrides:
                into.notes.append("Of several --override-kv llama.cpp takes the last.")
            self.overrides = value
        else:
            _OWN[flag.name](self, written, value)

    def _read_file(self, kind: str, value: str) -> None:
        """What is loaded beside the model; of adapters each is one more."""
        files = self.into.files
        several = [*filter(None, [files.get(kind)]), value] if kind == "lora" else [value]
        files[kind] = ",".join(several)

    def read_slot(self, written: str, value: str) -> None:
        """--kv-unified-per-slot, which stands for n_ctx where that is not given."""
        context = Collected(program=self.into.program)
        context.take("n_ctx", value, written)
        self.per_slot = context.knobs["n_ctx"]

    def read_devices(self, written: str, value: str) -> None:
        """--device: how many cards, and none that is no CUDA device in silence."""
        names = [name for name in value.split(",") if name.strip()]
        self.into.take("n_devices", 0 if value.lower() == "none" else len(names), written)
        self.into.devices = named_devices(names)
        others = [name for name in names if not name.upper().startswith((*_BACKENDS, "NONE"))]
        if others:
            effect = "no CUDA device: weights and caches are the same, compute buffers may differ"
            self.into.add_unmodelled(f"--device {','.join(others)}", effect)

    def read_frequency(self, written: str, value: str) -> None:
        """--rope-freq-scale, the reciprocal of --rope-scale."""
        try:
            scale = 1 / float(value)
        except (ValueError, ZeroDivisionError):
            raise ConfigError(
                f"{WHERE}: {written} {shortened(value)}: it takes a number such as 0.25"
            ) from None
        if scale > 1:
            self.into.take("rope_scale", scale, written)

    def finish(self) -> None:
        """What follows from several flags together."""
        into = self.into
        for pair in filter(None, self.overrides.split(",")):
            _read_override(pair, into)
        if self.per_slot is not None and "n_ctx" not in into.knobs:
            own = RunConfig().with_(**defaults_of(into.program))
            slots = into.knobs.get("n_seq_max", own.n_seq_max)
            into.take("n_ctx", self.per_slot * slots, "--kv-unified-per-slot")
        shares_uncounted = PROGRAMS[into.program].shares == "uncounted"
        is_uncounted = shares_uncounted and "n_seq_max" not in into.knobs
        if is_uncounted and into.knobs.pop("kv_unified", True) is False:
            into.notes.append("--no-kv-unified: llama-server shares one cache until -np is given.")
        if self.repository is not None and not (into.model and is_path(into.model)):
            into.model = self._repository()
            if not self.has_projector:
                into.notes.append(
                    "-hf fetches the repository's projector too, where it has one, which is not "
                    "in the figures; --no-mmproj leaves it out."
                )

    def _repository(self) -> str:
        repository = self.repository or ""
        if self.file:
            return f"hf:{repository.partition(':')[0]}/{self.file}"
        if ":" in repository:
            return repository
        self.into.notes.append(f"-hf {shortened(repository)}: llama.cpp takes its {HF_USUAL}.")
        return f"{repository}:{HF_USUAL}"


_FILES: Final = {
    "spec-draft-model": "draft",
    "spec-draft-hf": "draft",
    "mmproj": "mmproj",
    "mmproj-url": "mmproj",
    "lora": "lora",
    "lora-scaled": "lora",
}
"""What is loaded beside the model, by the flag that names it."""
_OWN: Final = {
    "device": _Reader.read_devices,
    "rope-freq-scale": _Reader.read_frequency,
    "kv-unified-per-slot": _Reader.read_slot,
}


def _read_override(pair: str, into: Collected) -> None:
    """One of --override-kv's KEY=TYPE:VALUE."""
    key, equals, typed = pair.partition("=")
    kind, colon, value = typed.partition(":")
    if not (equals and colon and kind in ("int", "float", "bool", "str")):
        raise ConfigError(
            f"{WHERE}: --override-kv {shortened(pair)}: it takes KEY=TYPE:VALUE, such as "
            "qwen3moe.expert_used_count=int:10"
        )
    if key.endswith(".expert_used_count") and kind == "int":
        into.take("n_expert_used", value, f"--override-kv {shortened(key)}=int:")
    elif key.endswith(".context_length") and kind == "int":
        lifted = Collected(program=into.program)
        lifted.take("n_ctx", value, f"--override-kv {shortened(key)}=int:")
        into.knobs = lifted.knobs | into.knobs
    elif key.startswith(("tokenizer.", "general.")) or ".rope." in key:
        into.idle.append(f"--override-kv {shortened(key)}")
    else:
        into.add_unmodelled(f"--override-kv {pair}", "the file's own value stands in the figures")
