"""llama.cpp's own count in the place of the replay."""

import pytest

from oomph.analysis.exact import take_counts
from oomph.architectures.catalogue import catalogue_model
from oomph.config import RunConfig
from oomph.errors import ConfigError
from oomph.estimate.estimator import Estimator
from oomph.views.trust_words import trust_sentence

CONFIG = RunConfig(n_ctx=2048, n_devices=0)


def estimator(build: int | None = None) -> Estimator:
    return Estimator(catalogue_model("smollm2-135m", "Q8_0"), build=build)


def test_a_count_stands_for_its_configuration_alone() -> None:
    asked = estimator(build=20_000)
    before = asked.memory(CONFIG)
    asked.take_count(CONFIG, {"CPU": 1024})
    memory = asked.memory(CONFIG)
    assert memory.devices["CPU"].compute_bytes == 1024
    assert memory.trust.is_counted
    assert memory.exact_compute
    assert "llama.cpp itself counts" in trust_sentence(memory.trust)
    other = asked.memory(CONFIG.with_(n_ctx=4096))
    assert not other.trust.is_counted
    assert before.trust.build == other.trust.build == "unknown"


def test_what_the_wheel_cannot_count_is_refused() -> None:
    with pytest.raises(ConfigError, match="is not b20000"):
        take_counts(estimator(build=20_000), [CONFIG])
    with pytest.raises(ConfigError, match="--exact needs the cards' names"):
        take_counts(estimator(), [CONFIG.with_(n_devices=1)])


@pytest.mark.llama
def test_the_wheel_counts_what_is_replayed() -> None:
    asked = estimator()
    replayed = asked.memory(CONFIG).devices["CPU"].compute_bytes
    take_counts(asked, [CONFIG])
    counted = asked.memory(CONFIG).devices["CPU"].compute_bytes
    assert counted == pytest.approx(replayed, abs=5500)  # two decimals of a MiB
