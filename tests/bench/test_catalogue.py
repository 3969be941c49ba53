"""Every model of the catalogue is exact on llama.cpp's dry run: each shape in one of the settings
and places that bench/peers/catalogue.py counted, whose `compare` holds all of them."""

from collections import defaultdict
from typing import Final

import pytest
from bench.peers.catalogue import QUANTIZATION, differences, kept_rows

from oomph.architectures.catalogue import catalogue_model, catalogue_names

ROWS: Final = {(row["model"], row["card"]): row for row in kept_rows()}
PLACES: Final = (("", 0), ("3090", 1), ("", 1), ("3090", 0))
SHAPELESS: Final = ("general.name", ".context_length", ".rope.freq_base")
"""What the keys end in that make no buffer another."""


def _alike() -> list[list[str]]:
    """The models of the catalogue, those of one shape together."""
    found: dict[object, list[str]] = defaultdict(list)
    for name in catalogue_names():
        model = catalogue_model(name, QUANTIZATION)
        told = {k: str(v) for k, v in model.metadata.items() if not k.endswith(SHAPELESS)}
        sizes = tuple((tensor.name, tensor.ne) for tensor in model.tensors.values())
        found[frozenset(told.items()), sizes].append(name)
    return list(found.values())


ALIKE: Final = _alike()


def test_every_model_was_counted() -> None:
    assert {model for model, _ in ROWS} == set(catalogue_names())
    for names in ALIKE:
        for card in ("", "3090"):
            first, *others = (ROWS[name, card]["counted"] for name in names)
            assert all(counted == first for counted in others), names


@pytest.mark.parametrize(("n", "model"), enumerate(names[0] for names in ALIKE))
def test_the_estimate_is_what_was_counted(n: int, model: str) -> None:
    card, setting = PLACES[n % len(PLACES)]
    assert not list(differences(ROWS[model, card], only=(setting,)))
