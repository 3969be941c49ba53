"""The catalogue: what the installed llama.cpp's dry run counts of every model, beside what is
predicted.

    python -m bench.peers.catalogue run [--phantom 3090] [MODEL …]
    python -m bench.peers.catalogue compare [MODEL …]

`run` asks the library with nothing allocated, on the CPU or on a phantom card, and puts the rows
into tests/data/catalogue.jsonl in the place of those models' earlier ones. `compare` holds all kept
rows against the prediction. A row has what llama.cpp counts under each of `oomph verify`'s
settings, in MiB as printed. Exit code 1 where a figure is not as predicted.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final

from oomph.analysis.verify import CONFIGS, PRINTED_MIB, figures
from oomph.architectures.catalogue import catalogue_model, catalogue_names
from oomph.cards import Card
from oomph.errors import OomphError
from oomph.estimate.memory import MemoryModel
from oomph.gpus import gpu
from oomph.measure.dry_run import Counted, Llama, dry_run
from oomph.models.synth import write_synthetic
from oomph.phantom.cards import Phantom, phantom_cards

ROWS: Final = Path(__file__).parents[2] / "tests" / "data" / "catalogue.jsonl"
QUANTIZATION: Final = "Q4_K_M"


def kept_rows() -> list[dict[str, Any]]:
    """Every row that is kept."""
    text = ROWS.read_text(encoding="utf-8") if ROWS.exists() else ""
    return [json.loads(line) for line in text.splitlines()]


def count(model: str, card: str, phantom: Phantom | None, folder: Path) -> dict[str, Any]:
    """What llama.cpp counts of the model on the card; "" is the CPU."""
    spec, path = catalogue_model(model, QUANTIZATION), folder / "model.gguf"
    write_synthetic(spec, path)
    llama = (
        Llama(backend_path=phantom.backend_path, environment=phantom.environment([0]))
        if phantom
        else Llama()
    )
    configs = [config.with_(n_devices=int(bool(phantom))) for config in CONFIGS]
    counted = [
        {
            "compute_mib": dict(each.compute_mib),
            "recurrent_mib": dict(each.recurrent_mib),
            "kv_cache_mib": round(each.kv_cache_mib, 2),
        }
        for each in dry_run(path, spec.arch, configs, llama=llama)
    ]
    return {"model": model, "card": card, "counted": counted}


def differences(row: Mapping[str, Any], *, only: Sequence[int] = (0, 1)) -> Iterator[str]:
    """The row's figures that are not as predicted, of the settings of these numbers."""
    cards = ()
    if row["card"]:
        spec = gpu(row["card"])
        cards = (Card(spec=spec, memory_bytes=spec.memory_bytes),)
    memory = MemoryModel(catalogue_model(row["model"], QUANTIZATION), cards=cards, is_dry_run=True)
    for i in only:
        estimate = memory.estimate(CONFIGS[i].with_(n_devices=len(cards)))
        for found in figures(estimate, Counted(**row["counted"][i])):
            if abs(found.predicted_mib - found.counted_mib) > PRINTED_MIB:
                yield (
                    f"{found.part}: predicted {found.predicted_mib:.2f}, "
                    f"counted {found.counted_mib:.2f} MiB"
                )


def run(models: Sequence[str], card: str) -> None:
    """Ask about every model, and keep what was counted."""
    with (
        phantom_cards(card) if card else nullcontext() as phantom,
        tempfile.TemporaryDirectory(prefix="oomph-catalogue-") as folder,
    ):
        for model in models:
            try:
                row = count(model, card, phantom, Path(folder))
            except OomphError as error:
                print(f"{model}: {error}", flush=True)
                continue
            others = [r for r in kept_rows() if (r["model"], r["card"]) != (model, card)]
            rows = sorted([*others, row], key=lambda r: (r["model"], r["card"]))
            ROWS.write_text("".join(f"{json.dumps(r)}\n" for r in rows), encoding="utf-8")


def compare(models: Sequence[str]) -> int:
    """Print what differs; how many rows do."""
    rows = [row for row in kept_rows() if row["model"] in models]
    n_wrong = 0
    for row in rows:
        found = list(differences(row))
        n_wrong += bool(found)
        for each in found:
            print(f"{row['model']} {row['card'] or 'CPU'}: {each}", flush=True)
    missing = sorted(set(models) - {row["model"] for row in rows})
    print(f"{len(rows) - n_wrong} of {len(rows)} rows as predicted; without one: {missing}")
    return n_wrong


def main(arguments: Sequence[str]) -> int:
    """One of the two programs; its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", choices=("run", "compare"))
    parser.add_argument("--phantom", default="")
    parser.add_argument("models", nargs="*")
    said = parser.parse_intermixed_args(arguments)
    models = said.models or catalogue_names()
    if said.program == "run":
        run(models, said.phantom)
        return 0
    return 1 if compare(models) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
