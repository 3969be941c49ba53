"""What the growth of an answer's time is measured on."""

import pytest
from bench.growth import CHAINS, configurations, seconds

from oomph.architectures.catalogue import catalogue_model


@pytest.mark.parametrize(("name", "n"), [("qwen3-30b-a3b", 1000), ("qwen3-0.6b", 200)])
def test_the_configurations_of_a_model_are_many_and_each_another(name: str, n: int) -> None:
    asked = list(configurations(catalogue_model(name, "Q4_K_M")))
    assert len(asked) == len(set(asked)) == n


def test_each_chain_doubles_one_number_and_asks_something() -> None:
    for chain in CHAINS:
        model, configs = chain.ask(chain.values[0])
        assert configs
        assert model.tensors
    assert seconds(*CHAINS[0].ask(2)) > 0
