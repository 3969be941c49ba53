"""Hugging Face's config.json of every family, changed: what names a model that has no GGUF yet."""

import json
from copy import deepcopy
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Final

from tests.soak.case import Case, Part, with_changes, wrong_numbers

from oomph.architectures.hf_config import read_hf_config
from oomph.config import RunConfig
from oomph.estimate.estimator import Estimator
from oomph.gpus import gpu
from oomph.views.estimates import prediction_json


@cache
def _configs() -> tuple[dict[str, Any], ...]:
    """The config of each family that can be sized by one."""
    path = Path(__file__).parents[1] / "data" / "hf_configs.json"
    kinds = json.loads(path.read_text(encoding="utf-8"))
    return tuple(each for kind in kinds.values() for each in kind.values())


def make(source: Random) -> Case:
    """A config with one to three of its values changed."""
    changed = with_changes(deepcopy(source.choice(_configs())), source)
    return Case("config", json.dumps(changed).encode())


def attempt(case: Case, folder: Path) -> str | None:
    """Read the model and predict."""
    path = folder / "config.json"
    path.write_bytes(case.data)
    estimator = Estimator(read_hf_config(path, "Q4_K_M"), gpu("RTX 4090"))
    said = prediction_json(estimator.predict(RunConfig(n_ctx=1024), longest=False))
    return next(wrong_numbers(said), None)


CONFIGS: Final = Part(usual=3_000, make=make, attempt=attempt)
