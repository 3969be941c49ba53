"""What claims are about, loaded and filled on phantom cards: a record for each configuration."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing

from oomph.analysis.claims import ClaimRun, ClaimsFile
from oomph.architectures.source import read_model
from oomph.calibrate.expected_memory import PHANTOM, Expectation
from oomph.config import RunConfig
from oomph.measure.bench import Bench
from oomph.measure.runner import Runner
from oomph.measure.sweep import Group, Sweep, SweepFile
from oomph.models.sparse import model_path
from oomph.records.store import Store


def try_claims(
    claims: ClaimsFile, bench: Bench, store: Store, *, say: Callable[[str], None]
) -> Mapping[tuple[str, RunConfig], ClaimRun]:
    """Every configuration of the claims by quantization and knobs, on phantom cards; what the store
    has is not tried again. `say` is told each that was."""
    return {
        (quantization, each.config): each
        for quantization in claims.quantizations()
        for each in _try(claims, quantization, bench, store, say)
    }


def _try(
    claims: ClaimsFile,
    quantization: str,
    bench: Bench,
    store: Store,
    say: Callable[[str], None],
) -> Iterator[ClaimRun]:
    """Every configuration of one quantization, from the store where it was tried before."""
    reference = f"{claims.model}:{quantization}"
    path = model_path(reference)
    assert bench.phantom is not None, "claims are tried on phantom cards"
    expected = Expectation(read_model(path), bench.phantom.specs, backend=PHANTOM)
    runner = Runner(
        store, bench.executor, model=path, known_as=reference, environment=bench.environment
    )
    for config in claims.configs(quantization):
        sweep = _sweep(claims, reference, config)
        with closing(runner.run(sweep)) as records:
            for record in records:
                say(f"{reference} {record.label}: {record.outcome.label}")
        (kept,) = runner.finished(sweep)
        yield ClaimRun(config=config, predicted_bytes=expected.total(config), record=kept)


def _sweep(claims: ClaimsFile, reference: str, config: RunConfig) -> Sweep:
    """One point, filled to the end; its label says what differs between the claims."""
    told = ("n_expert_used", "n_ctx", "flash_attn", "n_ubatch")
    return Sweep(
        file=SweepFile(
            name=f"claims-{claims.name}",
            model=reference,
            config=config.to_dict(),
            group=[Group(name=" ".join(f"{knob}={getattr(config, knob)}" for knob in told))],
            measure={"timing": False, "depths": ("full",), "n_prompt": config.n_ubatch, "n_gen": 4},
        )
    )
