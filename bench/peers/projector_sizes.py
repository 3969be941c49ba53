"""What clip.cpp reserves for projectors, recorded of its own code and held to the prediction.

    python bench/peers/projector_sizes.py run FOLDER >tests/data/projectors.jsonl
    python bench/peers/projector_sizes.py compare tests/data/projectors.jsonl

`run` needs `scripts/llama-tools`, a C++ compiler and the phantom card. It compiles llama.cpp's own
clip.cpp with one line changed, so that the image of the warm-up may have any size, writes sparse
projectors into FOLDER and reads what clip.cpp prints, and what the card counted. Exit code 1 where
a size is not as predicted.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from oracle import server_program

from oomph.architectures.projector_catalogue import published_projector
from oomph.estimate.projector.memory import ImageSize, ProjectorMemory
from oomph.gpus import GpuSpec
from oomph.models.synth import write_synthetic
from oomph.phantom.cards import parse_cards, phantom_cards
from oomph.units import MIB

PRINTED_MIB: Final = 0.0051
"""llama.cpp prints two decimals."""
CARD: Final = "phantom:24576:8.6:82"

_SIZE: Final = "img.set_size({sz, sz}, false, false);"
_ANY_SIZE: Final = """
    const char * nx = getenv("IMAGE_NX");
    const char * ny = getenv("IMAGE_NY");
    img.set_size({nx ? atoi(nx) : sz, ny ? atoi(ny) : sz}, false, false);
    fprintf(stderr, "tokens = %d\\n", clip_n_output_tokens(&ctx_clip, &img));
"""
_MAIN: Final = """
#include "ggml-backend.h"
int main(int n_words, char ** words) {
    ggml_backend_load_all();
    clip_context_params params {};
    params.use_gpu = atoi(words[2]);
    params.flash_attn_type = (clip_flash_attn_type) atoi(words[3]);
    params.image_min_tokens = atoi(words[4]);
    params.image_max_tokens = atoi(words[5]);
    params.warmup = params.no_alloc = true;
    g_logger_state.log_callback = [](ggml_log_level, const char * text, void *) {
        fputs(text, stderr);
    };
    auto made = clip_init(words[1], params);
    fputs(made.ctx_v ? "ready\\n" : "failed\\n", stdout);
    fflush(stdout);
    int nx, ny;
    while (scanf("%d %d", &nx, &ny) == 2) {
        clip_image_f32 img;
        img.set_size({nx, ny}, false, false);
        size_t n_tokens = clip_n_output_tokens(made.ctx_v, &img);
        std::vector<float> out(n_tokens * clip_n_mmproj_embd(made.ctx_v));
        puts(clip_image_encode(made.ctx_v, 2, &img, out) ? "encoded" : "failed");
        fflush(stdout);
    }
    return n_words != 6;
}
"""
_COMPUTE: Final = re.compile(r"(\w+) compute buffer size = +([\d.]+) MiB")
_GRAPH: Final = re.compile(r"graph splits = (\d+), nodes = (\d+)")
_FLASH: Final = re.compile(r"flash attention is (enabled|disabled)")
_TOKENS: Final = re.compile(r"^tokens = (\d+)", re.MULTILINE)

Row = dict[str, Any]


def cases() -> Iterator[Row]:
    """What is asked: each kind at load, on the card and on the CPU, then other sizes and knobs."""
    for model in (
        "gemma-3-4b",
        "gemma-3-27b",
        "gemma-4-31b",
        "gemma-4-26b-a4b",
        "qwen2.5-vl-7b",
        "qwen3-vl-8b",
        "qwen3-vl-30b-a3b",
        "qwen3.5-4b",
        "qwen3.6-27b",
        "qwen3.6-35b-a3b",
        "mistral-small-3.2-24b",
        "ministral-3-8b",
        "llama-4-scout",
        "llava-1.5-7b",
        "internvl3-8b",
        "qwen2-vl-7b",
        "glm-4.1v-9b",
        "kimi-vl-a3b",
    ):
        for device in ("CUDA0", "CPU"):
            yield {"model": model, "device": device}
    for model, *sizes in (
        ("qwen2.5-vl-7b", (784, 1120), (1792, 1792)),
        ("qwen3-vl-8b", (320, 640), (2048, 2048), (768, 768)),
        ("qwen3.6-27b", (1024, 2048), (2048, 2048)),
        ("gemma-4-31b", (1584, 1584), (480, 960)),
        ("mistral-small-3.2-24b", (896, 896), (280, 1540)),
        ("glm-4.1v-9b", (672, 1120)),
        ("kimi-vl-a3b", (896, 896), (420, 1092)),
    ):
        for width, height in sizes:
            yield {"model": model, "device": "CUDA0", "width": width, "height": height}
    for model in ("gemma-3-4b", "qwen2.5-vl-7b", "qwen3.6-27b", "gemma-4-31b"):
        yield {"model": model, "device": "CUDA0", "flash_attn": "off"}
    for precision in ("bf16", "q8_0", "f32"):
        for model in ("gemma-3-4b", "qwen3-vl-8b", "mistral-small-3.2-24b", "gemma-4-31b"):
            yield {"model": model, "device": "CUDA0", "precision": precision}
    yield {"model": "qwen3.6-27b", "device": "CUDA0", "image_max_tokens": 1024}
    for model in (
        "gemma-3-4b",
        "gemma-4-31b",
        "qwen2.5-vl-7b",
        "qwen3-vl-8b",
        "qwen3.6-27b",
        "mistral-small-3.2-24b",
        "llama-4-scout",
        "llava-1.5-7b",
    ):
        yield {"model": model, "device": "CUDA0", "encodes": True}


def program(folder: Path) -> Path:
    """clip.cpp with a main of ours, compiled into `folder` once."""
    made, server = folder / "clip_sizes", server_program()
    if made.exists():
        return made
    source = next(server.parent.parent.parent.glob("*/vendor/llama.cpp"))
    text = (source / "tools/mtmd/clip.cpp").read_text(encoding="utf-8")
    if text.count(_SIZE) != 1:
        raise SystemExit("clip.cpp has changed: the line that sizes the warm-up is not there")
    written = made.with_suffix(".cpp")
    written.write_text(text.replace(_SIZE, _ANY_SIZE) + _MAIN, encoding="utf-8")
    parts = ("tools/mtmd", "include", "ggml/include", "vendor", "src", "common")
    libraries = ("mtmd", "llama", "ggml", "ggml-base", "ggml-cpu")
    subprocess.run(
        [
            *("g++", "-O1", "-std=c++17", str(written), "-o", str(made)),
            *(f"-I{source / part}" for part in parts),
            *(f"-L{server.parent}", f"-Wl,-rpath,{server.parent}"),
            *(f"-l{name}" for name in libraries),
        ],
        check=True,
    )
    return made


def run(case: Row, folder: Path) -> Row:
    """The case with what clip.cpp said, and the bytes that the card counted."""
    precision = case.get("precision", "f16")
    path = folder / f"{case['model']}-{precision}.gguf"
    if not path.exists():
        write_synthetic(published_projector(case["model"], precision), path)
    on_card = case["device"] != "CPU"
    size = {f"IMAGE_N{axis}": str(case[side]) for axis, side in _SIDES if side in case}
    words = [
        *(str(program(folder)), str(path), str(int(on_card))),
        {"off": "0", "on": "1"}.get(case.get("flash_attn", "auto"), "-1"),
        *(str(case.get(f"image_{end}_tokens", 0)) for end in ("min", "max")),
    ]
    with ExitStack() as stack:
        environment = os.environ | size
        if on_card:
            built = server_program().parent
            phantom = stack.enter_context(phantom_cards(CARD, llama_cpp=built))
            environment |= phantom.program_environment()
        written = stack.enter_context(tempfile.TemporaryFile("w+"))
        child = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=written,
            text=True,
            env=environment,
        )
        assert child.stdout is not None
        child.stdout.readline()
        counted = {"card_bytes": phantom.counters().live_bytes} if on_card else {}
        if case.get("encodes"):
            side = _memory(case).sizes.largest_size
            _ask(child, f"{side} {side}")
            counted["encoded_bytes"] = phantom.counters().live_bytes
        child.communicate(timeout=120)
        written.seek(0)
        log = written.read()
    graph, flash, tokens = _GRAPH.findall(log), _FLASH.search(log), _TOKENS.findall(log)
    if not graph or not flash:
        raise SystemExit(log)
    last = log[log.rindex("warmup with") :]
    compute = {name: float(mib) for name, mib in _COMPUTE.findall(last)}
    splits, nodes = map(int, graph[-1])
    said = {
        "fused": flash[1] == "enabled",
        "splits": splits,
        "nodes": nodes,
        "tokens": int(tokens[-1]),
        "compute_mib": compute,
    }
    return case | said | counted


def _ask(child: subprocess.Popen[str], words: str) -> None:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(words + "\n")
    child.stdin.flush()
    if child.stdout.readline().strip() != "encoded":
        raise SystemExit(f"clip.cpp did not encode {words}")


def _memory(row: Row) -> ProjectorMemory:
    """The memory of the row's projector."""
    return ProjectorMemory(
        published_projector(row["model"], row.get("precision", "f16")),
        row["device"],
        flash_attn=row.get("flash_attn", "auto"),
        image_max_tokens=row.get("image_max_tokens"),
    )


_SIDES: Final = (("X", "width"), ("Y", "height"))


def difference(row: Row) -> str | None:
    """Where prediction and clip.cpp part; None where they are one."""
    memory = _memory(row)
    side = memory.sizes.warmup_size
    size = ImageSize(width=row.get("width", side), height=row.get("height", side))
    told = memory.at_load() if size == memory.warmup else memory.of_image(size)
    said = (told.flash_attn, told.n_splits, told.n_nodes)
    if said != (row["fused"], row["splits"], row["nodes"]):
        return f"fused, splits, nodes {said}"
    if memory.sizes.tokens(size.width, size.height) != row["tokens"]:
        return f"tokens {memory.sizes.tokens(size.width, size.height)}"
    for name, n_mib in row["compute_mib"].items():
        if abs(told.bytes[name] / MIB - n_mib) > PRINTED_MIB:
            return f"{name} {told.bytes[name] / MIB:.2f}"
    if "card_bytes" in row:
        took = memory.weight_bytes["CUDA0"] + told.bytes["CUDA0"]
        if took != row["card_bytes"]:
            return f"card {took}"
    if "encoded_bytes" in row:
        took = memory.weight_bytes["CUDA0"] + memory.of_largest().bytes["CUDA0"]
        took += memory.pool_bytes(_gpu())
        if took != row["encoded_bytes"]:
            return f"encoded {took}"
    return None


def _gpu() -> GpuSpec:
    """The card that the rows are of."""
    (card,) = parse_cards(CARD)
    return card.spec


def main(arguments: list[str]) -> int:
    """One of the two programs; its exit code."""
    if arguments[0] == "run":
        folder = Path(arguments[1])
        folder.mkdir(parents=True, exist_ok=True)
        for case in cases():
            print(json.dumps(run(case, folder)), flush=True)
        return 0
    rows = [json.loads(line) for line in Path(arguments[1]).read_text().splitlines()]
    told = [difference(row) for row in rows]
    for row, parted in zip(rows, told, strict=True):
        print("equal " if parted is None else f"DIFFER {parted}", json.dumps(row))
    print(f"{told.count(None)} of {len(rows)} as predicted")
    return 0 if not any(told) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
