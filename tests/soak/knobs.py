"""Knobs of any value, as a JSON object: what every command takes of a command line or a file."""

import json
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Final

from tests.soak.case import Case, Part, hostile_value, wrong_numbers

from oomph.architectures.catalogue import catalogue_model
from oomph.config import KNOBS, RunConfig
from oomph.estimate.estimator import Estimator
from oomph.foreign import parse_json
from oomph.gpus import gpu
from oomph.views.estimates import prediction_json

USUAL: Final[dict[str, tuple[Any, ...]]] = {
    "n_ctx": (1, 255, 4096, 2**20, 2**31 - 1),
    "n_batch": (1, 32, 2048, 2**31 - 1),
    "n_ubatch": (1, 512, 4096, 2**31 - 1),
    "n_seq_max": (1, 2, 256, 257, 2**31 - 1),
    "n_parallel": (1, 4),
    "type_k": ("f16", "q4_0", "f32", "iq4_nl"),
    "type_v": ("f16", "q8_0", "q5_1"),
    "flash_attn": ("on", "off", "auto"),
    "n_gpu_layers": (-1, 0, 1, 17, 2**31 - 1, -(2**31)),
    "n_expert_used": (1, 8, 64, 65, 0, -1),
    "n_devices": (0, 1, 2, 16, 17, 100_000),
    "n_depth": (0, 4000, 10**6),
    "tensor_split": ([1, 1], [0, 0], [], [1e308, 1e308], [-1, 2], [1] * 40),
    "main_gpu": (0, 1, -1, 99),
    "split_mode": ("none", "layer", "row", "tensor"),
    "override_tensor": ("exps=CPU", "(a+)+$=CPU", "[=CPU", "x", ".*.*.*.*.*x=CPU"),
    "rope_scaling": ("yarn", "linear", "none"),
    "rope_scale": (4.0, 0.0, -1.0, 1e300),
    "n_threads": (1, 0, -1, 2**31 - 1),
}


@cache
def _estimator(name: str) -> Estimator:
    return Estimator(catalogue_model(name, "Q4_K_M"), gpu("RTX 4090"))


def make(source: Random) -> Case:
    """One to five knobs, most of them at a value that could be."""
    knobs = {}
    for name in source.sample(list(KNOBS), source.choice((1, 2, 3, 5))):
        usual = USUAL.get(name, (True, False, 0, 1))
        knobs[name] = source.choice(usual) if source.random() < 0.75 else hostile_value(source)
    return Case(source.choice(("qwen3", "olmoe")), json.dumps(knobs).encode())


def attempt(case: Case, folder: Path) -> str | None:
    """Predict for the knobs, without a search for the longest context."""
    try:
        knobs = parse_json(case.data.decode())
    except ValueError:
        return None
    config = RunConfig.from_mapping(knobs, where="soak")
    model = {"qwen3": "qwen3-0.6b", "olmoe": "olmoe-1b-7b"}[case.kind]
    wrong = list(wrong_numbers(prediction_json(_estimator(model).predict(config, longest=False))))
    return wrong[0] if wrong else None


KNOB_CASES: Final = Part(usual=10_000, make=make, attempt=attempt)
