"""The best placement against what llama.cpp's --fit chooses, by prediction, over the same cases.

    python bench/peers/fit_placements.py [ROWS.jsonl]

ROWS are `fit_params.py`'s, the kept ones of the tests by default. Each card is an RTX 3090 with the
memory of its case; what a case says stays, the context is what --fit chose, and of the rest only
where the layers go is open. Exit code 1 where --fit is quicker in one of them.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from fit_cases import Case, read_cases
from fit_params import predicted

from oomph.advise.alternatives import ROOM_FOR_ANYTHING
from oomph.advise.placement.search import ALL_BUT_WHERE, best_placement
from oomph.advise.speeds import speeds
from oomph.advise.verdict import SURE
from oomph.architectures.source import read_model
from oomph.cards import Card, numbered
from oomph.config import RunConfig
from oomph.estimate.coefficients import default_coefficients
from oomph.estimate.estimator import Estimator
from oomph.estimate.overhead import context_bytes
from oomph.gpus import gpu
from oomph.units import MIB

ROWS: Final = Path(__file__).parents[2] / "tests/data/fit_choices.jsonl"
CARD: Final = "RTX 3090"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Decode in a full context, tokens per second, of --fit's choice and of the best placement;
    None where there is none. `fits` is how likely --fit's choice holds a full context."""

    case: Case
    fits: float
    of_fit: float | None
    of_best: float | None
    changes: tuple[str, ...]
    seconds: float

    @property
    def is_fair(self) -> bool:
        """Whether --fit's choice is as sure to fit as the other."""
        return self.fits >= SURE and self.of_fit is not None

    @property
    def gain(self) -> float:
        """The best placement's rate by --fit's."""
        assert self.of_fit, "only of fair pairs"
        return (self.of_best or 0.0) / self.of_fit


def compared(case: Case) -> Pair | None:
    """The two of a case; None where llama.cpp refuses what was said."""
    spec, model = gpu(CARD), read_model(case.model)
    held = context_bytes(spec, default_coefficients())
    cards = numbered(
        Card(spec=spec, memory_bytes=mib * MIB + held, free_bytes=mib * MIB)
        for mib in case.cards_mib
    )
    estimator = Estimator(model, cards)
    question, chosen = case.question(), predicted(case).config
    asked = question.config.with_(n_ctx=chosen.n_ctx)
    if estimator.predict(asked, longest=False).refused:
        return None
    started = time.process_time()
    said = frozenset(case.knobs) - {"n_ctx"}
    best = best_placement(estimator, asked, held=ALL_BUT_WHERE | said)
    seconds = time.process_time() - started
    prediction = estimator.predict(chosen, longest=False)
    return Pair(
        case=case,
        fits=prediction.fit_probability or 0.0,
        of_fit=_decode(estimator.with_room(ROOM_FOR_ANYTHING), chosen),
        of_best=best.decode_tokens_per_s if best else None,
        changes=best.changes if best else (),
        seconds=seconds,
    )


def _decode(estimator: Estimator, config: RunConfig) -> float | None:
    found = speeds(estimator, config, estimator.memory(config))
    return found.full.decode_tokens_per_s if found else None


def line(pair: Pair) -> str:
    """A case on a line."""
    rates = [f"{rate:8.2f}" if rate else "       –" for rate in (pair.of_fit, pair.of_best)]
    by = f"{pair.gain:6.2f}" if pair.is_fair else "     –"
    cards = ",".join(map(str, pair.case.cards_mib))
    words = " ".join(pair.case.words())
    figures = f"{pair.fits:4.0%} {rates[0]} {rates[1]} {by} {pair.seconds:5.1f} s"
    return f"{figures}  {pair.case.model} on {cards} MiB {words}"


def summary(pairs: Sequence[Pair]) -> str:
    """How the pairs came out, in sentences."""
    fair = [pair for pair in pairs if pair.is_fair]
    gains = sorted(pair.gain for pair in fair)
    dies = [pair for pair in pairs if not pair.is_fair]
    saved = sum(1 for pair in dies if pair.of_best)
    better = sum(gain > 1.001 for gain in gains)
    times = sorted(pair.seconds for pair in pairs)
    return (
        f"{len(pairs)} cases: in {len(fair)} --fit's choice surely holds a full context; the best "
        f"placement is quicker in {better}, slower in {sum(gain < 0.999 for gain in gains)}: "
        f"x{median(gains):.2f} in the median, x{gains[0]:.2f} at the least, x{gains[-1]:.2f} at "
        f"the most. In the other {len(dies)} --fit gives up or its choice may not hold a full "
        f"context: a placement that surely does was found for {saved}. The search took "
        f"{median(times):.2f} s of one core in the median, {times[-1]:.1f} s at the most"
    )


def main(arguments: list[str]) -> int:
    """Print every case and the summary; its exit code."""
    pairs = []
    for case in read_cases(Path(arguments[0]) if arguments else ROWS):
        if pair := compared(case):
            pairs.append(pair)
            print(line(pair), flush=True)
    print(summary(pairs))
    return 1 if any(pair.is_fair and pair.gain < 0.999 for pair in pairs) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
