"""llama.cpp's own count in the place of the replay, for any architecture that it knows.

The installed wheel counts with nothing allocated: on the CPU, or on a phantom of the card that is
asked about.
"""

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from oomph.config import RunConfig
from oomph.errors import ConfigError
from oomph.estimate.estimator import Estimator
from oomph.estimate.trust import build_of_commit
from oomph.measure.dry_run import Llama, dry_run
from oomph.models.synth import write_synthetic
from oomph.phantom.cards import PhantomCard, phantom_cards
from oomph.records.environment import llama_cpp_commit
from oomph.units import MIB


def take_counts(estimator: Estimator, configs: Sequence[RunConfig]) -> None:
    """Let the count stand for the replay under each of `configs`; ConfigError where no card is
    named that a phantom can stand in for, or another build is asked about than the installed one,
    ToolchainError where llama.cpp refuses."""
    if estimator.build not in (None, build_of_commit(llama_cpp_commit())):
        raise ConfigError(
            f"--exact asks the installed llama.cpp, which is not b{estimator.build}; leave one out"
        )
    model = estimator.model
    with ExitStack() as opened:
        path = Path(model.source)
        if not path.is_file():
            folder = opened.enter_context(tempfile.TemporaryDirectory(prefix="oomph-exact-"))
            path = Path(folder) / "model.gguf"
            write_synthetic(model, path)
        for config in configs:
            with ExitStack() as cards:
                llama = _on_cards(estimator, config, cards) if config.n_devices else Llama()
                (counted,) = dry_run(path, model.arch, [config], llama=llama)
            estimator.take_count(
                config, {name: round(mib * MIB) for name, mib in counted.compute_mib.items()}
            )


def _on_cards(estimator: Estimator, config: RunConfig, opened: ExitStack) -> Llama:
    cards = list(estimator.cards_in(config).values())
    specs = [card.spec for card in cards if card.spec]
    if len(specs) != config.n_devices:
        raise ConfigError("--exact needs the cards' names (--gpu), or -ngl 0 --n-devices 0")
    shapes = [
        PhantomCard(spec=replace(spec, memory_bytes=card.memory_bytes))
        for spec, card in zip(specs, cards, strict=True)
    ]
    phantom = opened.enter_context(phantom_cards(shapes))
    return Llama(backend_path=phantom.backend_path, environment=phantom.environment())
