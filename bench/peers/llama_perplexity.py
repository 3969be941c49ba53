"""Perplexity and KL divergence beside llama-perplexity's, on the same text and settings.

    python bench/peers/llama_perplexity.py BIN [MODEL [N_CTX [N_CHUNKS]]]

BIN is the folder of llama.cpp's programs (`scripts/llama-tools llama-perplexity` prints it), MODEL
a mixture of experts (the demo model without one). llama-perplexity scores the second half of each
chunk of N_CTX tokens, so of our figures by position the same tokens are taken. Both compute 256
tokens at once, on one thread. Exit code 1 where a perplexity or a divergence differs by more than
the standard error that llama-perplexity states.
"""

import math
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from oomph.measure.bench import open_bench
from oomph.measure.runner import Runner
from oomph.measure.sweep import Sweep, SweepFile
from oomph.measure.texts import pydoc_text
from oomph.models.demo import demo_model
from oomph.quality.text import Mean, mean_of
from oomph.records.schema import Quality
from oomph.records.store import Store

SETTINGS: Final = ((8, "f16"), (7, "f16"), (8, "q8_0"), (8, "q4_0"))
"""(n_expert_used, KV type), the reference first."""
BATCH: Final = 256
STATED: Final = {
    "perplexity": re.compile(
        r"Mean PPL\(Q\) +: +([\d.]+) ± +([\d.]+)|Final estimate: PPL = ([\d.]+) \+/- ([\d.]+)"
    ),
    "divergence": re.compile(r"Mean +KLD: +(-?[\d.]+) ± +([\d.]+)"),
}


@dataclass(frozen=True, slots=True)
class Scores:
    """A setting's perplexity and divergence, each with its standard error; the reference has no
    divergence."""

    perplexity: tuple[float, float]
    divergence: tuple[float, float] | None


def theirs(
    program: Path, model: Path, text: Path, base: Path, setting: tuple[int, str], n_ctx: int, n: int
) -> Scores:
    """What llama-perplexity says; the reference writes `base`, which the others read."""
    experts, kv = setting
    command = [
        str(program),
        "-m",
        str(model),
        "-f",
        str(text),
        "-c",
        str(n_ctx),
        "-b",
        str(BATCH),
        "-ub",
        str(BATCH),
        "--chunks",
        str(n),
        "-t",
        "1",
        "-lv",
        "4",
        "-fa",
        "on",
        "-ctk",
        kv,
        "-ctv",
        kv,
        "--override-kv",
        f"llama.expert_used_count=int:{experts}",
        "--kl-divergence-base",
        str(base),
        *([] if setting == SETTINGS[0] else ["--kl-divergence"]),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    said = done.stdout + done.stderr
    if f"n_expert_used         = {experts}" not in said:
        raise SystemExit(f"llama-perplexity did not take {experts} experts")
    found = {name: pattern.search(said) for name, pattern in STATED.items()}
    pairs = {
        name: [float(g) for g in match.groups() if g] for name, match in found.items() if match
    }
    perplexity, divergence = pairs["perplexity"], pairs.get("divergence")
    return Scores(
        (perplexity[0], perplexity[1]), (divergence[0], divergence[1]) if divergence else None
    )


def ours(model: Path, text: Path, n_ctx: int, n_chunks: int) -> dict[tuple[int, str], Scores]:
    """What oomph records, of the tokens that llama-perplexity scores."""
    groups = [
        {
            "name": kv,
            "axes": {
                "n_expert_used": [e for e, k in SETTINGS if k == kv],
                "type_k": kv,
                "type_v": kv,
            },
        }
        for kv in dict.fromkeys(kv for _, kv in SETTINGS)
    ]
    experts, kv = SETTINGS[0]
    reference = {"n_expert_used": experts, "type_k": kv, "type_v": kv}
    scored = {
        "file": text.name,
        "n_tokens": n_ctx * n_chunks,
        "n_ctx": n_ctx,
        "reference": reference,
    }
    file = SweepFile.model_validate(
        {
            "name": "llama-perplexity",
            "model": str(model),
            "group": groups,
            "config": {
                "n_ctx": n_ctx,
                "n_batch": BATCH,
                "n_ubatch": BATCH,
                "flash_attn": "on",
                "n_threads": 1,
            },
            "measure": {"n_prompt": 0, "n_gen": 0, "timing": False, "text": scored},
        }
    )
    sweep, store, found = Sweep(file=file, path=text), Store(text.parent / "records"), {}
    with open_bench() as bench:
        for record in Runner(store, bench.executor, environment=bench.environment).run(sweep):
            if record.quality is None:
                raise SystemExit(f"{record.label}: {record.outcome.message}")
            found[record.config["n_expert_used"], record.config["type_k"]] = scores(
                record.quality, n_ctx
            )
    return found


def scores(quality: Quality, n_ctx: int) -> Scores:
    """Of the second half of each pass: the tokens that are given n_ctx / 2 tokens or more, and the
    one at hand."""
    mean = mean_of(second_halves(quality.nll_nats, n_ctx))
    perplexity = math.exp(mean.value)
    return Scores(
        (perplexity, perplexity * (mean.error or 0.0)),
        _pair(mean_of(second_halves(quality.kl_nats, n_ctx))) if quality.kl_nats else None,
    )


def second_halves(values: Sequence[float], n_ctx: int) -> list[float]:
    """Item i of a pass judges token i + 1; llama-perplexity begins with that at position n_ctx /
    2."""
    return [value for index, value in enumerate(values) if index % (n_ctx - 1) >= n_ctx // 2]


def _pair(mean: Mean) -> tuple[float, float]:
    return mean.value, mean.error or 0.0


def print_row(name: str, us: tuple[float, float], them: tuple[float, float]) -> bool:
    """Print a figure of both; whether they agree within the standard error that llama-perplexity
    states."""
    apart = us[0] - them[0]
    agrees = abs(apart) <= them[1]
    print(
        f"{name:34}{us[0]:12.5f}{us[1]:10.5f}{them[0]:12.5f}{them[1]:10.5f}{apart / them[1]:+9.3f}"
    )
    return agrees


def main(program: Path, model: Path, n_ctx: int, n_chunks: int) -> bool:
    """Print the table; whether every figure agrees."""
    with tempfile.TemporaryDirectory() as folder:
        text, base = Path(folder) / "text.txt", Path(folder) / "base"
        text.write_text(
            pydoc_text().rstrip("\n"), encoding="utf-8"
        )  # llama-perplexity drops the file's last newline
        mine = ours(model, text, n_ctx, n_chunks)
        agree = []
        print(
            f"{n_chunks} chunks of {n_ctx} tokens; the last column in llama-perplexity's standard "
            "errors\n"
        )
        print(f"{'':34}{'oomph':>12}{'s.e.':>10}{'theirs':>12}{'s.e.':>10}{'apart':>9}")
        for setting in SETTINGS:
            other = theirs(program, model, text, base, setting, n_ctx, n_chunks)
            name, own = f"{setting[0]} experts, {setting[1]} KV", mine[setting]
            agree.append(print_row(f"{name}: perplexity", own.perplexity, other.perplexity))
            if own.divergence and other.divergence:
                agree.append(print_row(f"{name}: KL", own.divergence, other.divergence))
    return all(agree)


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 5:
        sys.exit(__doc__)
    arguments = dict(enumerate(sys.argv))
    path = Path(arguments[2]) if 2 in arguments else demo_model()
    sys.exit(
        not main(
            Path(sys.argv[1]) / "llama-perplexity",
            path,
            *(int(arguments.get(i, d)) for i, d in ((3, 512), (4, 3))),
        )
    )
