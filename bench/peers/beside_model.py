"""What llama-server takes with a projector and with adapters, as predicted and on phantom cards.

    python bench/peers/beside_model.py run FOLDER >ROWS.jsonl
    python bench/peers/beside_model.py compare ROWS.jsonl

`run` writes sparse files into FOLDER and needs `scripts/llama-tools llama-server` and the phantom
card. A row has the buffers of llama-server's own log as `oomph import` reads it, in MiB by device,
of the model and of what is beside it. Exit code 1 where one is not as predicted.
"""

import json
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from oracle import server_program

from oomph.architectures.projector_catalogue import projector_of
from oomph.architectures.source import read_model
from oomph.architectures.spec import ModelSpec
from oomph.estimate.adapters import Adapters
from oomph.estimate.estimator import Estimator
from oomph.estimate.prediction import MemoryEstimate, is_card
from oomph.estimate.projector.rider import Projector
from oomph.estimate.riders import Rider
from oomph.measure.logs.imported import read_log
from oomph.measure.server_run import phantom_arguments, serving
from oomph.models.lora import ATTENTION, EXPERTS, FEED_FORWARD, lora_for, write_lora
from oomph.models.synth import write_synthetic
from oomph.phantom.cards import phantom_cards
from oomph.programs.command_line import read_command
from oomph.records.schema import Buffers
from oomph.units import MIB

PRINTED_MIB: Final = 0.011
"""llama.cpp prints two decimals."""
LONGEST_S: Final = 240.0
HOST: Final = "host"
TARGETS: Final = {
    "attention": ATTENTION,
    "all": (*ATTENTION, *FEED_FORWARD),
    "experts": (*ATTENTION, *EXPERTS),
}
COMPONENTS: Final = {
    "model_mib": "weights_bytes",
    "kv_cache_mib": "kv_cache_bytes",
    "recurrent_mib": "recurrent_bytes",
    "compute_mib": "compute_bytes",
    "output_mib": "output_bytes",
}
CASES: Final = (
    ((24576,), "-m qwen3-vl-8b:Q4_K_M -c 8192 --mmproj f16"),
    ((24576,), "-m gemma-3-12b:Q4_K_M -c 8192 --mmproj f16"),
    ((24576,), "-m gemma-3-12b:Q4_K_M -c 8192 -fa off --mmproj f16"),
    ((32607,), "-m qwen3.6-35b-a3b:Q4_K_M -c 8192 --mmproj bf16"),
    ((32607,), "-m gemma-4-31b:Q4_K_M -c 4096 --mmproj q8_0"),
    ((24576,), "-m gemma-4-26b-a4b:Q4_K_M -c 4096 --mmproj f16 --no-mmproj-offload"),
    ((24576,), "-m mistral-small-3.2-24b:Q4_K_M -c 4096 --mmproj f16"),
    ((12288, 12288), "-m qwen2.5-vl-7b:Q4_K_M -c 8192 --mmproj f16"),
    ((24576,), "-m llama-3.1-8b:Q4_K_M -c 8192 -np 1 --lora r16-attention"),
    ((24576,), "-m llama-3.1-8b:Q4_K_M -c 16384 --lora r64-all"),
    ((24576,), "-m llama-3.1-8b:Q4_K_M -c 8192 -np 1 -ub 2048 --lora r256-all"),
    (
        (24576,),
        "-m llama-3.1-8b:Q4_K_M -c 8192 -np 1 -ngl 20 --lora r16-attention --lora r32-all",
    ),
    ((12288, 12288), "-m llama-3.1-8b:Q4_K_M -c 8192 -np 1 --lora r16-all"),
    ((24576,), "-m qwen3-30b-a3b:Q4_K_M -c 8192 -np 1 --lora r16-attention"),
    ((24576,), "-m qwen3-30b-a3b:Q4_K_M -c 8192 -np 1 --lora r8-experts"),
    ((24576,), "-m qwen3-30b-a3b:Q4_K_M -c 8192 -np 1 -ncmoe 24 --lora r8-experts"),
    ((24576,), "-m gemma-3-12b:Q4_K_M -c 4096 --mmproj f16 --lora r16-all"),
)
"""The memory of each card in MiB, and llama-server's words: models by the catalogue's names, their
own published projectors, adapters by rank and by what they change."""


def run(cards_mib: Sequence[int], words: str, folder: Path) -> dict[str, Any]:
    """What llama-server printed of the model and of what is beside it."""
    server = server_program()
    command = [str(server), *_with_files(shlex.split(words), folder), "--fit", "off"]
    command += phantom_arguments(len(cards_mib))
    cards = ",".join(f"phantom:{mib}:8.6:82" for mib in cards_mib)
    with (
        phantom_cards(cards, llama_cpp=server.parent) as phantom,
        serving(command, environment=phantom.program_environment()) as running,
    ):
        is_up = running.await_health(LONGEST_S) is not None
        log = running.log()
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, "llama-server.log")
        path.write_text("\n".join(log), encoding="utf-8")
        record = read_log(path)[-1]  # before it llama-server finds no card, until --device is read
    took = {"target": _by_device(record.buffers)}
    took |= {name: _by_device(each) for name, each in record.conditions.beside.items()}
    return {"cards_mib": list(cards_mib), "words": words, "loads": is_up, "took": took}


def _by_device(buffers: Buffers | None) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for kind in COMPONENTS:
        for device, sizes in (buffers.model_dump()[kind] if buffers else {}).items():
            at = found.setdefault(device if is_card(device) else HOST, {})
            at[kind] = round(at.get(kind, 0.0) + sum(sizes), 2)
    return found


def _with_files(words: Sequence[str], folder: Path) -> Iterator[str]:
    """The words with sparse files in place of names."""
    model = read_model(words[words.index("-m") + 1])
    before = ""
    for word in words:
        path = folder / f"{model.name}-{word.replace(':', '-')}.gguf"
        if before in ("-m", "--mmproj", "--lora") and not path.exists():
            _write(before, word, model, path)
        yield str(path) if before in ("-m", "--mmproj", "--lora") else word
        before = word


def _write(flag: str, word: str, model: ModelSpec, path: Path) -> None:
    if flag == "--lora":
        rank, targets = word[1:].split("-")
        write_lora(lora_for(model, int(rank), TARGETS[targets]), path)
    elif flag == "--mmproj":
        projector = projector_of(model, word)
        assert projector is not None, word
        write_synthetic(projector, path)
    else:
        write_synthetic(model, path)


def predicted(cards_mib: Sequence[int], words: str) -> MemoryEstimate:
    """What oomph says of the case."""
    pasted = read_command(f"llama-server {words}")
    model, files = read_model(str(pasted.model)), pasted.said.files
    riders: list[Rider] = []
    if names := files.get("lora"):
        ranks = (name[1:].split("-") for name in names.split(","))
        adapters = [lora_for(model, int(rank), TARGETS[what]) for rank, what in ranks]
        riders.append(Adapters(adapters, model))
    if precision := files.get("mmproj"):
        projector = projector_of(model, precision)
        assert projector is not None, precision
        riders.append(Projector(projector))
    said = pasted.said.with_(n_devices=len(cards_mib))
    return Estimator(model, riders=riders).memory(said.config(model))


def differences(row: Mapping[str, Any]) -> Iterator[str]:
    """Where a row's buffers and the prediction part, each with both figures in MiB."""
    memory = predicted(row["cards_mib"], row["words"])
    for context, devices in row["took"].items():
        told = memory.contexts[context]
        for name in dict.fromkeys(name if is_card(name) else HOST for name in (*told, *devices)):
            parts = [told[each] for each in told if (each if is_card(each) else HOST) == name]
            for kind, component in COMPONENTS.items():
                if (context, kind) == ("projector", "model_mib"):
                    continue  # which clip.cpp does not print
                said = sum(getattr(part, component) for part in parts) / MIB
                took = devices.get(name, {}).get(kind, 0.0)
                if abs(said - took) > PRINTED_MIB * 2:
                    yield f"{context} {name} {component}: {said:.2f}, took {took}"


def main(arguments: Sequence[str]) -> int:
    """Run the cases, or compare their rows."""
    what, path = arguments
    if what == "run":
        Path(path).mkdir(parents=True, exist_ok=True)
        for cards_mib, words in CASES:
            print(json.dumps(run(cards_mib, words, Path(path))), flush=True)
        return 0
    rows = [json.loads(line) for line in Path(path).read_text().splitlines()]
    parted = [list(differences(row)) for row in rows]
    for row, found in zip(rows, parted, strict=True):
        print("differs" if found else "as predicted", row["cards_mib"], row["words"], *found)
    return 1 if any(parted) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
