"""The cases of `fit_params.py`: drawn, spelled for llama.cpp's programs, and asked of oomph.

A case is a model of the catalogue, phantom cards, what a user has said, and after a run what the
program chose. Kept as JSON lines, so that a test replays them without a program.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

from oomph.architectures.source import read_model
from oomph.architectures.spec import ModelSpec
from oomph.config import RunConfig
from oomph.estimate.fitting.question import LEAST_CONTEXT, FitQuestion, Fitted
from oomph.estimate.fitting.shares import Kept, spills
from oomph.units import MIB

FIT_PARAMS: Final = "llama-fit-params"
SERVER: Final = "llama-server"
MODELS: Final = (
    "deepseek-v2-lite",
    "ernie-4.5-21b-a3b",
    "gemma-3-27b",
    "gemma-4-26b-a4b",
    "glm-4.5-air",
    "glm-4.7-flash",
    "gpt-oss-120b",
    "gpt-oss-20b",
    "granite-4.0-h-tiny",
    "lfm2-8b-a1b",
    "llama-3.1-8b",
    "llama-3.3-70b",
    "llama-4-scout",
    "mistral-small-24b",
    "mixtral-8x7b",
    "nemotron-3-nano-30b-a3b",
    "phi-4",
    "qwen2.5-14b",
    "qwen2.5-32b",
    "qwen3-0.6b",
    "qwen3-235b-a22b",
    "qwen3-30b-a3b",
    "qwen3-next-80b-a3b",
    "qwen3.5-9b",
    "qwen3.6-35b-a3b",
)
MIXES: Final = ("Q4_K_M", "Q4_K_M", "Q6_K", "Q8_0", "BF16")
CARDS_GIB: Final = (4, 6, 8, 10, 11, 12, 16, 20, 24, 24, 32, 48, 80, 96)
SMALLEST, LARGEST = 0.1, 2.2
"""Memory of all cards as a share of the weights: what is too small, and what is ample."""
OPTIONS: Final = {
    "n_ctx": "-c",
    "n_seq_max": "-np",
    "n_ubatch": "-ub",
    "type_k": "-ctk",
    "type_v": "-ctv",
    "flash_attn": "-fa",
    "n_gpu_layers": "-ngl",
    "tensor_split": "-ts",
    "split_mode": "-sm",
    "main_gpu": "-mg",
    "n_cpu_moe": "-ncmoe",
    "offload_kqv": "-nkvo",
    "swa_full": "--swa-full",
    "op_offload": "--no-op-offload",
}
_LETTERS: Final = {
    Kept.ATTENTION: "A",
    Kept.AND_UP: "U",
    Kept.AND_GATE: "G",
    Kept.ALL_BUT_EXPERTS: "",
}
"""What a card keeps of a layer, in a row of a case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`knobs` are those said, of which `n_ctx` 0 is `-c 0`; `chose` is empty before the run."""

    program: str
    model: str
    cards_mib: Sequence[int]
    knobs: Mapping[str, Any] = field(default_factory=dict)
    fit_ctx: int | None = None
    fit_target_mib: Sequence[int] = ()
    chose: Mapping[str, Any] = field(default_factory=dict)

    def words(self) -> list[str]:
        """What the program is given besides the model and the devices."""
        words: list[str] = []
        for name, value in self.knobs.items():
            words.append(OPTIONS[name])
            if isinstance(value, list):
                words.append(",".join(f"{share:g}" for share in value))
            elif not isinstance(value, bool):
                words.append(str(value))
        if self.fit_ctx is not None:
            words += ["-fitc", str(self.fit_ctx)]
        if self.fit_target_mib:
            words += ["-fitt", ",".join(map(str, self.fit_target_mib))]
        return words

    def question(self) -> FitQuestion:
        """The case as oomph is asked."""
        said = dict(self.knobs)
        if isinstance(said.get("tensor_split"), list):
            said["tensor_split"] = tuple(map(float, said["tensor_split"]))
        n_ctx = said.pop("n_ctx", None)
        of_program: dict[str, Any] = {"swa_full": False}
        if self.program == SERVER:
            slots = said.get("n_seq_max", 4)
            of_program |= {"n_seq_max": slots, "n_outputs_max": slots}
            of_program["kv_unified"] = "n_seq_max" not in said
        n_cards = len(self.cards_mib)
        margins = list(self.fit_target_mib) or [1024]
        margins = margins * n_cards if len(margins) == 1 else margins + [1024] * n_cards
        config = RunConfig(**of_program | {"n_devices": n_cards} | said)
        return FitQuestion(
            config=config.with_(n_ctx=n_ctx) if n_ctx else config,
            free_bytes=[mib * MIB for mib in self.cards_mib],
            margin_bytes=[mib * MIB for mib in margins[:n_cards]],
            # -fitc stands after -c, and the last of the two is what counts
            n_ctx_least=self.fit_ctx or (None if n_ctx == 0 else LEAST_CONTEXT),
            n_ctx_is_open=not n_ctx,
            layers_are_open="n_gpu_layers" not in said,
        )


def draw(n: int, seed: int) -> Iterator[Case]:
    """`n` cases, of one to four cards each, every sixth for llama-server."""
    rng = Random(seed)
    for number in range(n):
        while True:
            mix = rng.choice(MIXES)
            name = f"{rng.choice(MODELS)}:{mix}"
            model = read_model(name)
            cards = [_memory_mib(rng) for _ in range(rng.choice((1, 1, 2, 2, 3, 4)))]
            weights = sum(tensor.n_bytes for tensor in model.tensors.values())
            ratio = sum(cards) * MIB / weights
            if SMALLEST <= ratio <= LARGEST:
                break
        program = SERVER if number % 6 == 5 else FIT_PARAMS
        yield Case(
            program=program,
            model=name,
            cards_mib=cards,
            knobs=_said(rng, model, len(cards)),
            fit_ctx=rng.choice((8192, 16384, 1024)) if rng.random() < 0.15 else None,
            fit_target_mib=_targets(rng, len(cards)),
        )


def _memory_mib(rng: Random) -> int:
    """What CUDA calls free of a card that has so much on its box."""
    return int(rng.choice(CARDS_GIB) * 1024 * rng.uniform(0.9, 0.985))


def _targets(rng: Random, n_cards: int) -> list[int]:
    if rng.random() < 0.8:
        return []
    count = rng.choice((1, n_cards))
    return [rng.choice((256, 512, 1500, 2048)) for _ in range(count)]


def _said(rng: Random, model: ModelSpec, n_cards: int) -> dict[str, Any]:
    """What a user may have said, most often little."""
    said: dict[str, Any] = {}
    if rng.random() < 0.45:
        said["n_ctx"] = rng.choice((0, 4096, 8192, 16384, 32768, 65536, 5000))
    if rng.random() < 0.3:
        said["type_k"] = said["type_v"] = rng.choice(("q8_0", "q4_0"))
    chances = {
        "n_seq_max": (0.3, (1, 2, 4, 8)),
        "n_ubatch": (0.2, (256, 1024, 2048)),
        "flash_attn": (0.15, ("on", "off")),
        "n_gpu_layers": (0.05, (model.n_layer // 2, 99)),
        "n_cpu_moe": (0.06, (4, model.n_layer)),
        "offload_kqv": (0.05, (False,)),
        "swa_full": (0.08, (True,)),
        "op_offload": (0.05, (False,)),
    }
    for name, (chance, values) in chances.items():
        if rng.random() < chance:
            said[name] = rng.choice(values)
    if n_cards > 1 and rng.random() < 0.12:
        said |= rng.choice(
            (
                {"split_mode": "none", "main_gpu": n_cards - 1},
                {"tensor_split": [rng.choice((1, 2, 3)) for _ in range(n_cards)]},
            )
        )
    return said


def chosen(fitted: Fitted) -> dict[str, Any]:
    """What oomph says that llama-fit-params prints; only that it gives up where it does."""
    if fitted.gave_up:
        return {"gave_up": fitted.gave_up}
    config = fitted.config
    split = [int(share) for share in config.tensor_split or ()]
    return choice(config.n_ctx, config.n_gpu_layers, split, config.override_tensor or "")


def choice(n_ctx: int, n_gpu_layers: int, split: Sequence[int], overrides: str) -> dict[str, Any]:
    """A choice as it is kept; the last cards' shares of nothing left out, as the program prints
    them."""
    kept = list(split)
    while len(kept) > 1 and kept[-1] == 0:
        kept.pop()
    chose: dict[str, Any] = {"n_ctx": n_ctx, "n_gpu_layers": n_gpu_layers}
    if len(kept) > 1:
        chose["tensor_split"] = kept
    if overrides:
        chose["parts"] = " ".join(_parts(overrides))
    return chose


def _parts(overrides: str) -> Iterator[str]:
    """`17U=CUDA1 27-47=CPU`: layers in part, what is kept of them, and where the rest lies."""
    for spill in spills(overrides):
        layers = f"{spill.first}-{spill.last}" if spill.last > spill.first else str(spill.first)
        yield f"{layers}{_LETTERS[spill.kept]}={spill.home}"


def read_cases(path: Path) -> list[Case]:
    """The cases of a file of JSON lines."""
    return [Case(**json.loads(line)) for line in path.read_text().splitlines() if line]


def line_of(case: Case) -> str:
    """A case as a line of JSON, without what is empty."""
    row = {name: value for name, value in asdict(case).items() if value or value == 0}
    return json.dumps(row)
