"""What llama-server takes with a second context, as predicted and on phantom cards.

    python bench/peers/contexts.py run FOLDER [FIRST] >ROWS.jsonl
    python bench/peers/contexts.py compare ROWS.jsonl

`run` writes the models' sparse files into FOLDER and needs `scripts/llama-tools llama-server` and
the phantom card; FIRST is how many cases to leave out. A row has llama-server's own buffer lines in
MiB, by context and device, the last where it reserves again. Exit code 1 where one is not as
predicted.
"""

import json
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from draft_shapes import head_file, head_spec, is_head
from oracle import server_program, sparse_file

from oomph.advise.own_fit import own_fit
from oomph.architectures.source import read_model
from oomph.architectures.spec import ModelSpec
from oomph.calibrate.aboard import inferred, riders_of
from oomph.cards import Card
from oomph.estimate.draft_pairs import draft_of
from oomph.estimate.estimator import Estimator
from oomph.estimate.prediction import TARGET, MemoryEstimate, is_card
from oomph.estimate.riders import Rider
from oomph.measure.logs.contexts import buffers_by_context
from oomph.measure.logs.progress import Context
from oomph.measure.server_run import phantom_arguments, serving
from oomph.phantom.cards import phantom_cards
from oomph.programs.command_line import read_command
from oomph.programs.said import Said
from oomph.speculation import kinds_of
from oomph.units import MIB

PRINTED_MIB: Final = 0.011
"""llama.cpp prints two decimals."""
LONGEST_S: Final = 240.0
HOST: Final = "host"
MODEL: Final = "model"
"""The weights, which are of the target and its head together."""
COMPONENTS: Final = {
    "kv_cache_mib": "kv_cache_bytes",
    "recurrent_mib": "recurrent_bytes",
    "compute_mib": "compute_bytes",
    "output_mib": "output_bytes",
}
_MTP: Final = "--spec-type draft-mtp"
_SIMPLE: Final = "--spec-type draft-simple"
_EAGLE3: Final = "--spec-type draft-eagle3"
_DFLASH: Final = "--spec-type draft-dflash"
_DSPARK: Final = "--spec-type draft-dspark"
CASES: Final = (
    ((24576,), f"-m qwen3.6-27b-mtp:Q4_K_M -c 32768 -np 1 {_MTP}"),
    ((24576,), f"-m qwen3.6-27b-mtp:Q4_K_M -c 32768 {_MTP}"),
    (
        (32607,),
        f"-m qwen3.6-27b-mtp:Q4_K_M -c 131072 -np 1 -ctk q4_0 -ctv q4_0 -ctkd q4_0 -ctvd q4_0 "
        f"{_MTP} --spec-draft-n-max 4",
    ),
    (
        (32607,),
        f"-m qwen3.6-27b-mtp:Q4_K_M -c 32768 -np 4 --no-kv-unified -fa off {_MTP} "
        "--spec-draft-n-max 2 -ub 128",
    ),
    (
        (49140,),
        f"-m qwen3.6-35b-a3b-mtp:Q4_K_M -c 65536 -np 4 -ctk q8_0 -ctv q8_0 -ctkd q8_0 -ctvd q8_0 "
        f"{_MTP} --spec-draft-n-max 2 -ub 1024",
    ),
    ((24576,), f"-m qwen3.6-35b-a3b-mtp:Q4_K_M -c 16384 -np 1 -ncmoe 4 {_MTP}"),
    ((98304,), f"-m glm-4.5-air:Q4_K_M -c 65536 -np 2 {_MTP} -ub 32"),
    ((98304,), f"-m glm-4.5-air:Q4_K_M -c 65536 -np 4 --no-kv-unified {_MTP}"),
    ((65536,), f"-m qwen3-next-80b-a3b-mtp:Q4_K_M -c 32768 -np 1 {_MTP}"),
    ((32607,), f"-m glm-4.7-flash-mtp:Q4_K_M -c 32768 -np 4 {_MTP}"),
    ((24576, 24576), f"-m qwen3.6-27b-mtp:Q8_0 -c 65536 -np 2 {_MTP}"),
    ((8192, 16384), f"-m qwen3.5-9b-mtp:Q8_0 -c 65536 -np 1 -ts 1,2 {_MTP} --spec-draft-n-max 5"),
    ((12288,), f"-m qwen3.5-4b-mtp:Q4_K_M -c 65536 -np 1 -ngl 20 {_MTP} --spec-draft-n-max 1"),
    ((24576,), f"-m qwen3-32b:Q4_K_M -c 8192 -np 1 {_SIMPLE} -md qwen3-0.6b:Q8_0"),
    (
        (24576,),
        f"-m qwen3-32b:Q4_K_M -c 8192 -np 4 -ctk q8_0 -ctv q8_0 -ctkd q4_0 -ctvd q4_0 {_SIMPLE} "
        "-md qwen3-1.7b:Q4_K_M --spec-draft-n-max 16",
    ),
    ((24576, 32607), f"-m qwen3-32b:Q8_0 -c 32768 -np 2 {_SIMPLE} -md qwen3-4b:Q8_0"),
    (
        (24576, 8192),
        f"-m qwen3-32b:Q4_K_M -c 8192 -np 1 -dev CUDA0 {_SIMPLE} -md qwen3-1.7b:Q8_0 -devd CUDA1",
    ),
    ((24576,), f"-m qwen3-14b:Q4_K_M -c 8192 -np 1 {_SIMPLE} -md qwen3-0.6b:Q8_0 -ngld 10"),
    ((49140,), f"-m gemma-3-27b:Q4_K_M -c 32768 -np 4 {_SIMPLE} -md gemma-3-1b:Q8_0"),
    ((24576,), f"-m qwen3.6-27b:Q4_K_M -c 16384 -np 1 {_SIMPLE} -md qwen3.5-4b:Q4_K_M"),
    ((24576,), "-m qwen3-30b-a3b:Q4_K_M -c 16384 -np 4 --spec-type ngram-mod"),
    ((24576,), f"-m qwen3.6-27b-mtp:Q4_K_M --fit on {_MTP}"),
    ((16384,), f"-m qwen3.6-27b-mtp:Q4_K_M -c 16384 -np 1 --fit on {_MTP}"),
    ((24576,), f"-m qwen3-32b:Q4_K_M -np 1 --fit on {_SIMPLE} -md qwen3-0.6b:Q8_0"),
    ((16384,), f"-m qwen3.6-35b-a3b-mtp:Q4_K_M -c 65536 -np 1 --fit on {_MTP}"),
    ((8192, 12288), f"-m qwen3.6-27b-mtp:Q4_K_M -c 32768 -np 1 --fit on {_MTP}"),
    (
        (10240,),
        f"-m qwen3.5-9b-mtp:Q8_0 -np 2 -c 32768 --fit on {_MTP} --spec-draft-n-max 2",
    ),
    ((24576,), f"-m qwen3-8b:Q4_K_M -c 8192 -np 1 {_EAGLE3} -md eagle3-of-qwen3-8b:F16"),
    (
        (24576,),
        f"-m llama-3.1-8b:Q8_0 -c 65536 -np 4 {_EAGLE3} -md eagle3-of-llama-3.1-8b:Q8_0 -ub 128",
    ),
    (
        (24576,),
        f"-m gpt-oss-20b:MXFP4 -c 32768 -np 2 {_EAGLE3} -md eagle3-of-gpt-oss-20b:F16 "
        "-ctkd q8_0 -ctvd q8_0",
    ),
    ((24576,), f"-m qwen3.5-9b:Q4_K_M -c 16384 -np 2 {_EAGLE3} -md eagle3-of-qwen3.5-9b:F16"),
    (
        (24576, 12288),
        f"-m qwen3-30b-a3b:Q4_K_M -c 16384 -np 1 --no-kv-unified {_EAGLE3} "
        "-md eagle3-of-qwen3-30b-a3b:F16 --spec-draft-n-max 5",
    ),
    (
        (12288,),
        f"-m qwen3-8b:Q8_0 -c 16384 -np 1 -ngl 30 {_EAGLE3} -md eagle3-of-qwen3-8b:Q4_0",
    ),
    ((24576,), f"-m qwen3-8b:Q4_K_M -c 8192 -np 1 {_DFLASH} -md dflash-of-qwen3-8b:F16"),
    (
        (24576,),
        f"-m qwen3.5-9b:Q4_K_M -c 32768 -np 2 {_DFLASH} -md dflash-of-qwen3.5-9b:F16 "
        "--spec-draft-n-max 15",
    ),
    (
        (24576, 12288),
        f"-m gpt-oss-20b:MXFP4 -c 16384 -np 2 {_DFLASH} -md dflash-of-gpt-oss-20b:Q8_0 "
        "-ctkd q8_0 -ctvd q8_0 --spec-draft-n-max 7",
    ),
    ((24576,), f"-m qwen3-8b:Q4_K_M -c 8192 -np 1 {_DSPARK} -md dspark-of-qwen3-8b:F16"),
    (
        (24576,),
        f"-m qwen3-8b:Q4_K_M -c 32768 -np 4 --no-kv-unified {_DSPARK} -md dspark-of-qwen3-8b:Q8_0 "
        "-ub 28 --spec-draft-n-max 6",
    ),
    (
        (12288,),
        f"-m qwen3-4b:Q4_K_M -c 16384 -np 2 -fa off {_DSPARK} -md dspark-of-qwen3-4b:F16 -ub 16",
    ),
    ((24576,), f"-m qwen3-8b:Q4_K_M -c 8192 -np 1 {_DFLASH} -md dflash2-of-qwen3-8b:F16"),
    (
        (24576,),
        f"-m qwen3-8b:Q4_K_M -c 16384 -np 2 {_DFLASH} -md dflash2-of-qwen3-8b:Q8_0 -ub 32 "
        "--spec-draft-n-max 15",
    ),
    (
        (32607,),
        f"-m qwen3-32b:Q4_K_M -c 8192 -np 1 {_SIMPLE} -md qwen3-30b-a3b:Q4_K_M -ncmoed 30 "
        "-ctkd q8_0 -ctvd q8_0 --n-cpu-ffn 2",
    ),
    ((24576,), f"-m qwen3-14b:Q4_K_M -c 8192 -np 2 {_SIMPLE} -md qwen3-30b-a3b:Q4_K_M -cmoed"),
    (
        (24576, 12288),
        f"-m qwen3-14b:Q4_K_M -c 8192 -np 1 {_SIMPLE} -md qwen3-1.7b:Q8_0 "
        r"-otd 'blk\.(1|2|3)\.ffn_.*=CPU,attn_output=CPU'",
    ),
)
"""The memory of each card in MiB, and llama-server's words, models by the catalogue's names."""


def run(cards_mib: Sequence[int], words: str, folder: Path) -> dict[str, Any]:
    """What llama-server printed of each context: MiB by device and kind of buffer."""
    server = server_program()
    given = shlex.split(words)
    fit = [] if "--fit" in given else ["--fit", "off"]
    command = [server, *_with_files(given, folder), *fit, "--no-warmup"]
    devices = [] if "-dev" in given else phantom_arguments(len(cards_mib))[:2]
    cards = ",".join(f"phantom:{mib}:8.6:82" for mib in cards_mib)
    with phantom_cards(cards, llama_cpp=server.parent) as phantom:
        environment = phantom.program_environment()
        command += [*devices, "--load-mode", "dio"]
        with serving(command, environment=environment) as running:
            is_up = running.await_health(LONGEST_S) is not None
            if is_up and _reads_target(given):  # the target's buffers grow at its first batch
                running.post("/completion", {"prompt": "so", "n_predict": 1})
            log = running.log()
    return {"cards_mib": list(cards_mib), "words": words, "loads": is_up, "took": dict(_took(log))}


def _with_files(words: Sequence[str], folder: Path) -> Iterator[str]:
    is_model = False
    for word in words:
        if is_model:
            write = head_file if is_head(word) else sparse_file
            word = str(write(word, folder))
        is_model = word in ("-m", "-md")
        yield word


def _took(log: Sequence[str]) -> Iterator[tuple[str, dict[str, dict[str, float]]]]:
    own, beside = buffers_by_context(log, (Context.MTP, Context.DRAFT))
    for name, each in {TARGET: own, **beside}.items():
        buffers = each.model_dump()
        found: dict[str, dict[str, float]] = {}
        for kind in ("model_mib", *COMPONENTS):
            for device, sizes in buffers[kind].items():
                at = found.setdefault(device if is_card(device) else HOST, {})
                size = sizes[-1] if kind == "compute_mib" else sum(sizes)
                at[kind] = round(at.get(kind, 0.0) + size, 2)
        yield name, found


def predicted(cards_mib: Sequence[int], words: str) -> MemoryEstimate:
    """What oomph says of the case."""
    pasted = read_command(f"llama-server --fit off {words}")  # what is said later counts
    model = read_model(str(pasted.model))
    riders = _riders(model, pasted.said)
    said = inferred(pasted.said, riders)
    cards = [
        Card(memory_bytes=mib * MIB, device=f"CUDA{i}", free_bytes=mib * MIB)
        for i, mib in enumerate(cards_mib)
    ]
    said = said if said.n_devices else said.with_(n_devices=len(cards))
    estimator, config = Estimator(model, cards, riders=riders), said.config(model)
    fit = own_fit(estimator, said, config)
    return estimator.memory(fit.config if fit else config)


def _riders(model: ModelSpec, said: Said) -> tuple[Rider, ...]:
    """What rides along: a head that reads the model is of no catalogue."""
    reference = said.files.get("draft")
    if reference is None or not is_head(reference):
        return riders_of(model, said)
    kinds = kinds_of(said.knobs.get("spec_type"))
    return (draft_of(model, head_spec(reference), kinds),)


def _reads_target(words: Sequence[str]) -> bool:
    return any(is_head(word) for word in words)


def differences(row: Mapping[str, Any]) -> Iterator[str]:
    """Where a row's buffers and the prediction part, each with both figures in MiB."""
    memory = predicted(row["cards_mib"], row["words"])
    for context, devices in row["took"].items():
        told = memory.contexts[context]
        names = dict.fromkeys(name if is_card(name) else HOST for name in (*told, *devices))
        for name in names:
            parts = [told[each] for each in told if (each if is_card(each) else HOST) == name]
            took = devices.get(name, {})
            for kind, component in COMPONENTS.items():
                said = sum(getattr(part, component) for part in parts) / MIB
                if abs(said - took.get(kind, 0.0)) > PRINTED_MIB:
                    yield f"{context} {name} {component}: {said:.2f}, took {took.get(kind, 0.0)}"
    yield from _weights(row["took"], memory)


def _weights(
    took: Mapping[str, Mapping[str, Mapping[str, float]]], memory: MemoryEstimate
) -> Iterator[str]:
    """The same of the weights, a head's with its model's."""
    for name in dict.fromkeys(name for devices in took.values() for name in devices):
        printed = sum(devices.get(name, {}).get("model_mib", 0.0) for devices in took.values())
        said = sum(
            part.weights_bytes
            for each, part in memory.devices.items()
            if (each if is_card(each) else HOST) == name
        )
        if abs(said / MIB - printed) > PRINTED_MIB * len(took):
            yield f"{name} weights: {said / MIB:.2f}, took {printed}"


def main(arguments: Sequence[str]) -> int:
    """Run the cases, or compare their rows."""
    what, path, *rest = arguments
    if what == "run":
        for cards_mib, words in CASES[int(rest[0]) if rest else 0 :]:
            print(json.dumps(run(cards_mib, words, Path(path))), flush=True)
        return 0
    n_wrong = 0
    for line in Path(path).read_text().splitlines():
        row = json.loads(line)
        found = list(differences(row))
        n_wrong += bool(found)
        print("differs" if found else "as predicted", row["cards_mib"], row["words"])
        print(
            *(f"    {each}" for each in found), sep="\n" if found else "", end="\n" if found else ""
        )
    return 1 if n_wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
