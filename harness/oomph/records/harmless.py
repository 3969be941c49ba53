"""What of a record may be given away: what is known to be harmless, and nothing else.

A whitelist, field by field: numbers under known names, words of closed lists, and texts of a strict
shape (a version, a commit, a card's or a model's name). So no host name, path, user, serial number
or UUID can come through, however it got into a record: not because it is recognised, but because
nothing asks for it.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from oomph.architectures.catalogue import catalogue_names
from oomph.architectures.families import FAMILIES
from oomph.config import KINDS, KNOBS
from oomph.errors import UnknownNameError
from oomph.gguf.file_types import FILE_TYPES
from oomph.gguf.ggml_types import KV_CACHE_TYPES
from oomph.gpus import gpu
from oomph.records.backends import ESTIMATED_BACKENDS
from oomph.records.device_lines import BACKENDS
from oomph.records.schema import LABELS, TASK_FAMILIES, Record

_GONE: Final = object()
"""What a rule answers for a value that it does not let through."""

Rule = Callable[[Any], Any]


def _number(value: Any) -> Any:
    return value if isinstance(value, int | float) or value is None else _GONE


def _one_of(*words: str) -> Rule:
    allowed = frozenset(words)
    return lambda value: (
        value if value is None or (isinstance(value, str) and value in allowed) else _GONE
    )


def _shaped(pattern: str) -> Rule:
    shape = re.compile(pattern)
    return lambda value: value if isinstance(value, str) and shape.fullmatch(value) else _GONE


def _list_of(rule: Rule) -> Rule:
    """A list with the items that pass; none of the others leaves a trace."""
    return lambda value: (
        [kept for item in value if (kept := rule(item)) is not _GONE]
        if isinstance(value, list | tuple)
        else _GONE
    )


def _map_of(key: Rule, rule: Rule) -> Rule:
    """A mapping whose keys and values pass."""

    def scrub(value: Any) -> Any:
        if not isinstance(value, Mapping):
            return _GONE
        kept = {key(name): rule(item) for name, item in value.items()}
        return {
            name: item for name, item in kept.items() if name is not _GONE and item is not _GONE
        }

    return scrub


def _fields(**rules: Rule) -> Rule:
    """A part with these fields and no others."""

    def scrub(value: Any) -> Any:
        if not isinstance(value, Mapping):
            return _GONE
        kept = {name: rule(value[name]) for name, rule in rules.items() if name in value}
        return {name: item for name, item in kept.items() if item is not _GONE}

    return scrub


def _numbers(*names: str) -> dict[str, Rule]:
    return dict.fromkeys(names, _number)


def _whole(*needed: str, part: Rule) -> Rule:
    """The part where all that it is nothing without came through."""

    def scrub(value: Any) -> Any:
        kept = part(value)
        return (
            kept
            if kept is not _GONE and all(kept.get(name) is not None for name in needed)
            else _GONE
        )

    return scrub


_NUMBERS: Final = _list_of(_number)
_NUMBERS_OR_NONE: Final[Rule] = lambda value: None if value is None else _NUMBERS(value)  # noqa: E731
_SHA256: Final = _shaped(r"[0-9a-f]{64}")
_COMMIT: Final = _shaped(
    r"(?=.*[a-f])([0-9a-f]{7,10}|[0-9a-f]{40})(-dirty)?"
)  # digits alone may be a serial number
_RELEASE: Final = _shaped(r"\d{1,4}(\.\d{1,4}){0,3}((a|b|rc|\.post|\.dev)\d{1,4})?")
_DATE: Final = _shaped(r"\d{4}-\d\d-\d\d")
_DEVICE: Final = _shaped(r"(CUDA\d{1,2}|CUDA_Host|CPU|CPU_Mapped|CPU_REPACK|AMX|host)")
_TEST: Final = _shaped(r"(cold_)?(pp|tg)\d{1,7}(\+(pp|tg)\d{1,7})?")
_LAYERS: Final = _shaped(r"\d{1,4}/\d{1,4}")
_CPU_WORD: Final = (
    r"(AMD|Intel\(R\)|EPYC|Ryzen|Threadripper|PRO|Xeon\(R\)|Core\(TM\)|Ultra|CPU|Processor|Gold|Silver|Platinum|Bronze|@|"
    r"[0-9.]{1,5}GHz|\d{1,3}-Core|i\d-\d{4,5}[A-Z]{0,2}|w\d-\d{4}X?|[A-Z]{0,2}\d{1,4}[A-Z0-9]{0,3}|v\d)"
)
_CPU: Final = _shaped(rf"{_CPU_WORD}( {_CPU_WORD}){{0,9}}")
_PACKAGE: Final = _one_of("oomph", "llama-cpp-python", "numpy", "psutil", "nvidia-ml-py")
_REASONS: Final = (
    "power_cap",
    "hw_slowdown",
    "sync_boost",
    "sw_thermal",
    "hw_thermal",
    "power_brake",
    "display",
)
_OUTCOMES: Final = (*LABELS, "refused", "skipped", "lost")
_STAGES: Final = (
    "weights",
    "kv_cache",
    "compute",
    "run",
    "load",
    "context",
    "decode",
    "config",
    "backend",
    "quality",
)


def _knob_rule(name: str) -> Rule:
    """Numbers, and words of a closed list: a text of any shape may hold anything."""
    if choices := KNOBS[name].choices:
        return _one_of(*choices)
    if KINDS[name].startswith("tuple"):
        return _NUMBERS_OR_NONE
    return _one_of() if KINDS[name].startswith("str") else _number


def _card_name(value: Any) -> Any:
    """The catalogue's own name of a card."""
    if not isinstance(value, str) or ":" in value:
        return _GONE
    try:
        return gpu(value).name
    except UnknownNameError:
        return _GONE


def _model_name(value: Any) -> Any:
    """A published model's name, with or without its quantization or that it is a likeness of
    one."""
    if not isinstance(value, str):
        return _GONE
    name, _, quantization = value.lower().partition(":")
    known = name.removesuffix("-likeness") in catalogue_names() or value in ("demo", *_EMBEDDED)
    return value if known and (not quantization or quantization.upper() in FILE_TYPES) else _GONE


def _that_there_were_some(value: Any) -> Any:
    """Settings of a foreign table may hold anything: that there were some says that the record
    calibrates nothing."""
    return {"settings": "not shared"} if value else _GONE


_EMBEDDED: Final = ("SmolLM2-135M-Instruct-8x192",)

_CARD: Final = _fields(
    name=_card_name,
    compute_capability=_shaped(r"\d{1,2}\.\d"),
    **_numbers("index", "total_bytes", "usable_bytes", "leave_bytes", "ballast_bytes"),
)
_CARD_CONDITIONS: Final = _fields(
    vram_method=_one_of("per_process", "device_minus_idle"),
    energy_method=_one_of("counter", "integrated_power"),
    throttle=_list_of(_one_of(*_REASONS)),
    **dict.fromkeys(
        (
            "sm_mhz",
            "memory_mhz",
            "temperature_c",
            "power_w",
            "power_limit_w",
            "utilisation_percent",
        ),
        _NUMBERS_OR_NONE,
    ),
    **_numbers("idle_bytes", "most_used_bytes", "energy_j"),
)
_FREE: Final = _map_of(_DEVICE, _number)
_SIZES: Final = _map_of(_DEVICE, _NUMBERS)
_DEPTHS: Final = _list_of(lambda value: value if value == "full" else _number(value))
_TASK: Final = _shaped("|".join(TASK_FAMILIES))
_TASK_TEST: Final = _fields(
    families=_list_of(_TASK),
    lengths=_DEPTHS,
    depths=_NUMBERS,
    reference=_fields(**{name: _knob_rule(name) for name in KNOBS}),
    **_numbers("n_items", "n_answer", "budget_s"),
)
_MEASURE: Final = _fields(
    depths=_DEPTHS,
    tasks=_TASK_TEST,
    repetitions=_fields(**_numbers("least", "most", "half_width", "budget_s", "neighbours")),
    load_mode=_one_of("auto", "none", "mmap", "mlock", "dio"),
    **_numbers("n_prompt", "n_gen", "timing", "seed"),
)

_TASKS: Final = _fields(
    graded_by=lambda value: value if value == "rule" else "another grader",
    items=_list_of(
        _whole(
            "task",
            "item",
            "score",
            part=_fields(
                task=_TASK,
                item=_shaped(r"[0-9a-f]{16}"),
                **_numbers("n_tokens", "n_prompt", "depth", "score"),
            ),
        )
    ),
)
"""What was asked for, the answers and why some are missing are texts, and stay here."""

_RECORD: Final = _fields(
    schema_version=_number,
    wall_ns=_number,
    load_ns=_number,
    model=_fields(
        name=_model_name,
        path=_model_name,
        arch=_one_of(*FAMILIES),
        header_sha256=_SHA256,
        **_numbers("file_bytes", "tensor_bytes", "n_params"),
    ),
    config=_fields(**{name: _knob_rule(name) for name in KNOBS}),
    workload=_MEASURE,
    limits=_fields(memory_kind=_one_of("data", "address_space"), memory_bytes=_number),
    environment=_fields(
        python=_RELEASE,
        cpu=_CPU,
        backend=_one_of(*ESTIMATED_BACKENDS, *BACKENDS.values()),
        gpus=_list_of(_CARD),
        driver=_RELEASE,
        llama_cpp_commit=_COMMIT,
        packages=_map_of(_PACKAGE, _RELEASE),
        **_numbers("cpu_count", "memory_bytes"),
    ),
    outcome=_fields(
        label=_one_of(*_OUTCOMES),
        stage=_one_of(*_STAGES),
        **_numbers("exit_code", "asked_mib", "short_mib"),
    ),
    reported=_fields(
        type_k=_one_of(*KV_CACHE_TYPES),
        type_v=_one_of(*KV_CACHE_TYPES),
        flash_attn=_one_of("enabled", "disabled", "auto"),
        offloaded_layers=_LAYERS,
        **_numbers(
            "n_ctx",
            "n_ctx_seq",
            "n_batch",
            "n_ubatch",
            "n_expert_used",
            "rope_freq_scale",
            "graph_nodes",
            "graph_splits",
        ),
    ),
    buffers=_fields(
        model_mib=_SIZES,
        kv_cache_mib=_SIZES,
        recurrent_mib=_SIZES,
        compute_mib=_SIZES,
        output_mib=_SIZES,
        compute_grown_mib=_SIZES,
    ),
    timings=_list_of(
        _whole(
            "test",
            "n_tokens",
            "samples_ns",
            part=_fields(
                test=_TEST,
                samples_ns=_NUMBERS,
                outliers=_NUMBERS,
                disturbed=_NUMBERS_OR_NONE,
                **_numbers("n_tokens", "n_depth", "n_parallel", "energy_j"),
            ),
        )
    ),
    memory=_list_of(
        _whole(
            "probe",
            "quantity",
            "device",
            "peak_bytes",
            part=_fields(
                probe=_one_of("host", "nvml"),
                quantity=_one_of("rss", "anon", "pss", "vram"),
                device=_DEVICE,
                method=_one_of("per_process", "device_minus_idle"),
                **_numbers(
                    "peak_bytes", "baseline_bytes", "last_bytes", "n_samples", "interval_ns"
                ),
            ),
        )
    ),
    tasks=_TASKS,
    conditions=_fields(
        unread=_that_there_were_some,
        cards=_map_of(_DEVICE, _CARD_CONDITIONS),
        throttle_reasons=_list_of(_one_of(*_REASONS)),
        free_after_load_bytes=_FREE,
        free_after_context_bytes=_FREE,
        free_after_run_bytes=_FREE,
        **_numbers(
            "worker_cpus",
            "other_cpus",
            "context_index",
            "n_threads",
            "context_ns",
            "n_filled",
            "drift",
        ),
    ),
)


def scrub(record: Record) -> Record:
    """The record with what is harmless; its machine, ids, sweep and label are made anew, and its
    date has no hour."""
    kept = _RECORD(record.model_dump(mode="json"))
    date = _DATE(record.started_at[:10])
    others = record.conditions.other_processes or ()
    kept["conditions"]["other_processes"] = [{} for _ in others]  # how many, and nothing else
    name = kept["model"].get("name", "a model that the catalogue lacks")
    kept |= {
        "sweep": "shared",
        "label": _label(kept["config"]),
        "started_at": "" if date is _GONE else date,
    }
    kept["model"] = {"name": name, "path": kept["model"].get("path", name), **kept["model"]}
    kept["model"] = {"arch": "", "file_bytes": 0, "header_sha256": "", **kept["model"]}
    machine = {
        "machine": "shared",
        "os": "",
        "python": "",
        "cpu": "",
        "cpu_count": None,
        "memory_bytes": None,
    }
    kept["environment"] = {**machine, "backend": "unknown", **kept["environment"]}
    kept["outcome"] = {"label": "crash", **kept["outcome"]}
    point_id = _digest([kept["model"]["header_sha256"], kept["config"], kept["workload"]], 12)
    ids = {"point_id": point_id, "record_id": f"{point_id}-{_digest(kept, 8)}"}
    return Record.model_validate({"wall_ns": 0, **kept, **ids})


def _digest(value: Any, n_digits: int) -> str:
    """Ids are made of what is shared: those of the record may be anybody's."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:n_digits]


def _label(config: Mapping[str, Any]) -> str:
    shown = ("n_ctx", "n_expert_used", "type_k", "flash_attn", "n_ubatch")
    return " ".join(f"{knob}={config[knob]}" for knob in shown if config.get(knob) is not None)
