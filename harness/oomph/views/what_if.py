"""What a page needs to answer any setting of a model: facts, coefficients, the estimator.

The page holds the estimate layer itself, translated (`transpiler`), so that it cannot say
anything else than the package: the graphs are replayed there as here. Facts travel as JSON; what is
not needed for an estimate, such as a chat template or a path, stays behind.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, fields, is_dataclass
from functools import cache
from importlib import resources
from itertools import groupby
from typing import Any, Final

from oomph.advise.quantizations import published_variants, quantization_of
from oomph.architectures.catalogue import is_catalogued
from oomph.architectures.families import family_of
from oomph.architectures.layers import n_decoding
from oomph.architectures.spec import ModelSpec
from oomph.cards import kinds
from oomph.config import FLASH_ATTN, KINDS, KNOBS, RunConfig
from oomph.estimate.coefficients import Coefficients, default_coefficients
from oomph.estimate.estimator import LONGEST_CONTEXT, Estimator
from oomph.estimate.graph.hparams import resolve_hparams
from oomph.estimate.prediction import Prediction
from oomph.estimate.riders import FixedRider
from oomph.frozen import frozen
from oomph.gguf.header import SkippedArray
from oomph.gpus import GpuSpec, gpu_specs
from oomph.knob import Program
from oomph.programs.defaults import PROGRAMS as DEFAULTS
from oomph.programs.said import Said
from oomph.transpiler.program import Program as Translated
from oomph.transpiler.statements import translate
from oomph.units import MIB, count
from oomph.views.asked import asked_sentence
from oomph.views.shown import shown_of
from oomph.views.table import Cell, Table, number

ROOTS: Final = (
    "oomph.estimate.estimator:Estimator",
    "oomph.estimate.coefficients:Coefficients",
    "oomph.config:RunConfig",
    "oomph.cards:Card",
    "oomph.gpus:GpuSpec",
    "oomph.architectures.spec:ModelSpec",
    "oomph.gguf.header:TensorInfo",
    "oomph.gguf.header:SkippedArray",
    "oomph.gguf.ggml_types:QUANTS",
    "oomph.estimate.posterior:Posterior",
    "oomph.estimate.machine:Machine",
    "oomph.estimate.riders:FixedRider",
    "oomph.views.shown:shown_of",
)
CALLED: Final = ("predict", "max_context", "for_card", "total_bytes", "changed", "n_verified")
"""Methods that the page calls by name."""
REPLACED: Final = (
    "oomph.estimate.coefficients:default_coefficients",
    "oomph.architectures.families:family_of",
    "oomph.config:_checked",
    "oomph.config:_check",
    "oomph.estimate.estimator:model_of",
    "oomph.cards:cards_of",
)
"""What the page provides: coefficients and its models' families come as JSON, its knobs need no
check, and its models and cards are facts already."""
FAMILY: Final = (
    "blocks",
    "caches_idle",
    "graph",
    "has_cache",
    "has_encoder",
    "has_known_graph",
    "head",
    "is_crossed",
    "loaded_of_heads",
    "output_norm",
    "reads_cache",
    "recurrence",
    "rope",
    "shares_streams",
    "windows",
)
"""What estimates read of a family: plain data."""

CACHE_TYPES: Final = ("f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "iq4_nl", "q4_0")
UBATCHES: Final = (32, 64, 128, 256, 512, 1024, 2048)
FILLED: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Shares of the context that are filled when speed is asked."""
LEAST_REACH: Final = 1 << 17
"""The context slider goes at least this far, and to twice the trained context."""
MOST_EXPERTS: Final = 32
"""The experts slider goes this far, or to twice the model's own number."""
USUAL_CARD: Final = "NVIDIA GeForce RTX 4090"
"""The card to begin with where none is named or seen."""
PROGRAMS: Final[tuple[Program, ...]] = (
    "llama-server",
    "llama-cli",
    "llama-cpp-python",
    "text-generation-webui",
)
"""Programs whose knobs are llama.cpp's own, so that one may stand in for another."""
MOST_SLOTS: Final = 64
TABLE_CONTEXTS: Final = (4096, 8192, 16384, 32768, 65536, 131072)

Knobs = dict[str, Any]


@frozen
class WhatIf:
    """One model to be asked: `facts` for the script, `start` and `positions` of the controls, a
    table without them.

    `reference` is what names the model on a command line, `limits` are the least and most that can
    be typed beside a slider, `programs` are those that may stand in for `program`. `first` is the
    answer before a control moved; None where the page begins on a card of its own.
    """

    name: str
    reference: str
    facts: dict[str, Any]
    start: Knobs
    positions: dict[str, list[Any]]
    limits: dict[str, tuple[int, int]]
    program: dict[str, Any]
    programs: list[dict[str, Any]]
    table: Table
    first: dict[str, Any] | None

    @property
    def n_expert_used(self) -> int | None:
        """The model's own number of active experts: where the slider stands unless `start` says
        otherwise."""
        used: int | None = self.facts["model"]["metadata"].get(
            f"{self.facts['model']['arch']}.expert_used_count"
        )
        return used

    @property
    def quantizations(self) -> list[str]:
        """The quantizations that can be chosen, the model's own among them; none where it is the
        only one."""
        return list(self.facts["types"])

    @property
    def data(self) -> dict[str, Any]:
        """What the page's script reads, ready for JSON."""
        return {
            "facts": self.facts,
            "start": self.start,
            "positions": self.positions,
            "limits": self.limits,
            "program": self.program,
            "programs": self.programs,
            "reference": self.reference,
            "first": self.first,
        }


def what_if(
    estimator: Estimator,
    config: RunConfig | None = None,
    *,
    program: Program = "llama-cpp-python",
    reference: str | None = None,
) -> WhatIf:
    """The questions to `estimator`'s model, beginning with `config` on the estimator's card (or
    without one), run as `program` runs it: a measured one by llama-cpp-python.

    Without a card, coefficients must be of a machine for the page to tell speeds of its CPU.
    """
    config = config or RunConfig(n_devices=len(estimator.cards) if estimator.gpu else 0)
    positions = control_positions(estimator.model, config)
    asked_as = program_facts(program, estimator, config)
    riders = fixed_riders(estimator, config)
    return WhatIf(
        name=estimator.model.name,
        reference=reference or estimator.model.source,
        facts={
            "model": model_facts(estimator.model),
            "cards": [
                [
                    card_facts(card.spec),
                    card.memory_bytes + estimator.machine.reserve_bytes,
                    card.device,
                ]
                for card in estimator.cards
                if card.spec
            ],
            "coefficients": coefficient_facts(estimator.coefficients)
            if estimator.coefficients
            else None,
            "types": type_facts(estimator.model),
            "has_windows": resolve_hparams(estimator.model).has_swa,
            "has_head": n_decoding(estimator.model) < estimator.model.n_layer,
            "riders": [
                [rider.name, rider.bytes_by_device, rider.note, rider.read_layers]
                for rider in riders
            ],
            "machine": asdict(estimator.machine),
        },
        start={
            knob: value
            for knob, value in config.to_dict().items()
            if value != getattr(RunConfig(), knob) or value != asked_as["defaults"].get(knob)
        },
        positions=positions,
        limits=control_limits(estimator.model),
        program=asked_as,
        programs=[
            asked_as if name == program else program_facts(name, estimator, config)
            for name in dict.fromkeys((program, *(PROGRAMS if program in PROGRAMS else ())))
        ],
        table=default_table(estimator, config, positions["n_ctx"]),
        first=first_answer(estimator.changed(riders=riders) if riders else estimator, config),
    )


def shared_facts() -> dict[str, Any]:
    """What all questions on a page share: the cards of the catalogue and the coefficients that ship
    with oomph."""
    return {
        "cards": [card_facts(gpu) for gpu in gpu_specs()],
        "coefficients": coefficient_facts(default_coefficients()),
    }


@cache
def estimator_script() -> str:
    """The estimate layer as JavaScript, with what it needs of Python."""
    program = Translated(ROOTS, replaced=REPLACED, called=CALLED)
    runtime = resources.files("oomph.transpiler").joinpath("python.js").read_text(encoding="utf-8")
    return runtime + translate(program)


# --- facts


def model_facts(model: ModelSpec) -> dict[str, Any]:
    """A model's numbers, family and tensors; arrays that were stepped over as [element type,
    length]."""
    declared = family_of(model.arch)
    return {
        "name": model.name,
        "arch": model.arch,
        "family": {name: _plain(getattr(declared, name)) for name in FAMILY},
        "metadata": {
            key: _value(value)
            for key, value in model.metadata.items()
            if _is_asked(model, key, value)
        },
        "tensors": [
            [tensor.name, tensor.ne, tensor.quant.name] for tensor in model.tensors.values()
        ],
    }


def _is_asked(model: ModelSpec, key: str, value: object) -> bool:
    """Whether an estimate may look at a metadata value: all numbers, but texts of the architecture
    alone."""
    return key.startswith(f"{model.arch}.") or not isinstance(value, str)


def _value(value: object) -> object:
    return (
        {"skipped": [value.element_type, value.count]} if isinstance(value, SkippedArray) else value
    )


def _plain(value: Any) -> object:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def type_facts(model: ModelSpec) -> dict[str, str]:
    """The types of the model's tensors in each quantization that can be chosen, in the order of its
    tensors, each run of equal ones as "TYPE*count"; nothing for a file, which is what it is."""
    if model.file_bytes is not None or not is_catalogued(model.source.partition(":")[0]):
        return {}
    names = list(model.tensors)
    own = {quantization_of(model) or "own": model}
    variants = {str(quantization_of(each)): each for each in published_variants(model.name)}
    return {
        label: _runs(each.tensors[name].quant.name for name in names)
        for label, each in (own | variants).items()
        if list(each.tensors) == names
    }


def _runs(types: Iterable[str]) -> str:
    return " ".join(f"{name}*{len(list(run))}" for name, run in groupby(types))


def fixed_riders(estimator: Estimator, config: RunConfig) -> list[FixedRider]:
    """What is loaded beside the model, each with its bytes by device under `config` and what is to
    be said of them: a page holds no second model. An MTP head is no second one."""
    found = estimator.memory(config).riders if estimator.riders else {}
    beside = f"is counted as beside n_ctx {count(config.n_ctx)}"
    return [
        FixedRider(
            name=rider.name,
            bytes_by_device={name: part.total_bytes for name, part in found[rider.name].items()},
            note=f"what rides along ({rider.name}) {beside}",
            read_layers=rider.read_layers,
        )
        for rider in estimator.riders
    ]


def first_answer(estimator: Estimator, config: RunConfig) -> dict[str, Any] | None:
    """The knobs as the controls stand at first, when nothing is filled, and what the page draws of
    their answer (`Shown`); None where the cards are not known by name, for then the page begins on
    another."""
    if config.n_devices and not (estimator.cards and all(card.spec for card in estimator.cards)):
        return None
    used = config.n_expert_used or estimator.model.n_expert_used
    first = config.with_(n_depth=0, n_expert_used=used if estimator.model.is_moe else None)
    answer = estimator.predict(first, longest=False)
    return {"knobs": first.to_dict(), "shown": asdict(shown_of(answer))}


def card_facts(gpu: GpuSpec) -> list[Any]:
    """A card's values in the order of GpuSpec's fields, without where they come from."""
    return [getattr(gpu, field.name) for field in fields(GpuSpec) if field.name != "source"]


def coefficient_facts(coefficients: Coefficients) -> dict[str, Any]:
    """What formulas and intervals read of coefficients: nothing of the machine they were fitted
    on."""
    content = asdict(coefficients)
    return {
        name: content[name]
        for name in ("values", "cards", "interval_widths", "seen", "covered", "posterior")
    }


def program_facts(program: Program, estimator: Estimator, config: RunConfig) -> dict[str, Any]:
    """What a command that asks the same must spell: the program, the knobs that it has by itself,
    the switches, and in a sentence what no control shows."""
    said = Said(program=program)
    shown = (
        "n_ctx",
        "type_k",
        "type_v",
        "n_ubatch",
        "flash_attn",
        "n_gpu_layers",
        "n_devices",
        "n_seq_max",
        "swa_full",
    )
    counted = said.with_(n_seq_max=2).config(estimator.model, estimator.gpu_memory_bytes)
    return {
        "name": program,
        "counted_unified": counted.kv_unified,
        "keeps_slots": DEFAULTS[program].keeps == "slots",
        "defaults": said.config(estimator.model, estimator.gpu_memory_bytes).to_dict(),
        "switches": {
            name: knob.options[0].split("/")
            for name, knob in KNOBS.items()
            if KINDS[name] == "bool"
        },
        "sentence": asked_sentence(said, config, besides=shown).removesuffix(": "),
    }


# --- controls


def control_limits(model: ModelSpec) -> dict[str, tuple[int, int]]:
    """The least and the most of each number that can be typed."""
    limits = {
        "n_ctx": (1, max(LONGEST_CONTEXT, model.n_ctx_train)),
        "filled": (0, 100),
        "n_gpu_layers": (0, model.n_layer + 1),
        "n_ubatch": (1, 1 << 16),
        "n_seq_max": (1, MOST_SLOTS),
    }
    if model.is_moe:
        limits |= {"n_expert_used": (1, model.n_expert), "n_cpu_moe": (0, model.n_layer)}
    return limits


def control_positions(model: ModelSpec, config: RunConfig) -> dict[str, list[Any]]:
    """The values that each control can take, `config`'s own among them."""
    layers = list(range(model.n_layer + 1))
    positions: dict[str, list[Any]] = {
        "n_ctx": sorted({*_contexts(model), config.n_ctx}),
        "filled": list(FILLED),
        "type_k": list(dict.fromkeys((*CACHE_TYPES, config.type_k))),
        "type_v": list(dict.fromkeys((*CACHE_TYPES, config.type_v))),
        "n_ubatch": sorted({*UBATCHES, config.n_ubatch}),
        "flash_attn": sorted(FLASH_ATTN),
        "n_gpu_layers": [*layers, model.n_layer + 1],
    }
    if model.is_moe:
        most = min(
            model.n_expert,
            max(2 * model.n_expert_used, MOST_EXPERTS if model.n_expert <= MOST_EXPERTS else 16),
        )
        positions["n_expert_used"] = sorted(
            {*range(1, most + 1), config.n_expert_used or model.n_expert_used}
        )
        positions["n_cpu_moe"] = layers
    return positions


def _contexts(model: ModelSpec) -> Iterator[int]:
    """Powers of two with three steps between, as far as twice the trained context, and that
    itself."""
    reach = min(max(LEAST_REACH, 2 * model.n_ctx_train), LONGEST_CONTEXT)
    yield min(model.n_ctx_train, reach)
    power = 512
    while power <= reach:
        yield from (n for n in range(power, min(2 * power, reach + 1), max(power // 4, 256)))
        power *= 2


def default_table(estimator: Estimator, config: RunConfig, contexts: Sequence[int]) -> Table:
    """What a reader without scripts sees: memory and speed by context, the other knobs as they
    are."""
    shown = [n for n in contexts if n in TABLE_CONTEXTS or n == config.n_ctx]
    answers = [estimator.predict(config.with_(n_ctx=n, n_depth=0), longest=False) for n in shown]
    place = kinds(estimator.cards) or ("CPU" if config.n_devices == 0 else "a card")
    columns = ("n_ctx", "MiB", "fits, %", "prefill t/s", "decode t/s")
    return Table(
        caption=f"Predicted for {estimator.model.name} on {place}",
        columns=columns,
        rows=tuple(map(_row, answers)),
    )


def _row(answer: Prediction) -> tuple[Cell, ...]:
    memory, likely, speed = answer.memory, answer.fit_probability, answer.speed
    on_host = sum(part.total_bytes for part in memory.devices.values())
    return (
        Cell(count(answer.config.n_ctx), answer.config.n_ctx),
        number(memory.total_vram_bytes if answer.config.n_devices else on_host, unit=MIB),
        number(None if likely is None else 100 * likely),
        number(speed.prefill_tokens_per_s if speed else None, digits=1),
        number(speed.decode_tokens_per_s if speed else None, digits=1),
    )
