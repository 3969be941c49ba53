"""What commands there are: the module of each, one line about it, an example.

Stands apart from the commands so that their list can be shown, completed and searched without
importing any of them: a test holds the lines against the commands' own first words.
"""

from collections.abc import Mapping
from typing import Final

PANELS: Final[Mapping[str, Mapping[str, str]]] = {
    "Ask": {
        "answer": 'answer qwen3-30b-a3b:Q4_K_M --gpu "RTX 5090" -c 90k --n-expert-used 9-10',
        "estimate": 'estimate model.gguf -c 32k -ctk q8_0 -ctv q8_0 --gpu "RTX 3090" --json',
        "max-context": 'max-context gemma-3-27b:Q4_K_M --gpu "RTX 3090" --as ollama',
        "what-if": "what-if qwen3-30b-a3b:Q4_K_M --open",
        "explain": 'explain kv --model model.gguf --gpu "RTX 4090"',
        "launch": 'launch model.gguf -c 90k --gpu "RTX 5090" --out launch --check',
        "inspect": "inspect model.gguf",
        "classify": "classify llama-server.log",
        "models": 'models "Qwen3 30B A3B"',
        "gpus": 'gpus "RTX 5090"',
        "claims": "claims bench/claims/qwen3-30b-a3b.toml --out results/claims",
    },
    "Measure": {
        "sweep": "sweep model.gguf --n-ctx 4k,32k --n-expert-used 8-10 --out results/mine",
        "frontier": "frontier model.gguf --n-expert-used 8-10 --type-kv f16,q8_0",
        "first-card": "first-card --out results/mine/first-card",
        "rerun": "rerun results/mine 85623b22b8d5 --out results/again",
    },
    "Results": {
        "report": "report results/mine --open",
        "site": "site results --out site",
        "calibrate": "calibrate results/mine",
        "compare": "compare results/before results/after --html",
        "merge": "merge results/a results/b --out results/both",
        "import": "import llama-bench.json --out results/theirs",
        "export": "export results/mine --format llama-bench-jsonl",
        "records": "records --help",
        "tasks": "tasks items --model model.gguf --lengths 4k,16k --out items.jsonl",
    },
    "Set up": {
        "doctor": "doctor",
        "verify": "verify qwen3-30b-a3b:Q4_K_M",
        "setup": "setup cuda",
        "bundle": "bundle /media/usb/oomph --cuda --cuda-arch 9.0",
        "synth": "synth qwen3-30b-a3b:Q4_K_M sparse.gguf",
        "phantom": "phantom --help",
    },
    "Demonstrate": {
        "demo": "demo --open",
        "demo-model": "demo-model",
        "chat": "chat model.gguf --n-ctx 8192",
    },
}
"""The commands by what they are for, the common ones first, each with an example."""
SUMMARIES: Final[Mapping[str, str]] = {
    "answer": "Can I run it? n_ctx left out is the model's own context; no card named is the "
    "machine's.",
    "estimate": "Predict memory, fit and speed of a model without loading it. Knobs are "
    "llama.cpp's.",
    "max-context": "The longest context that fits, and that was seen to run full, for each "
    "combination.",
    "what-if": "Write a page with sliders for context, experts, cache types, layers and card, "
    "which begins with the knobs that are given. It needs no network.",
    "explain": "Explain how memory and time are spent, in figures of one model on one card. "
    "`context` has the tiers; n_ctx left out is 32,768, or the model's own if less.",
    "launch": "Write files that start a model: llama-server, text-generation-webui, koboldcpp, "
    "Ollama, llama-cpp-python.",
    "inspect": "Show a model's architecture, experts, context, bytes by role and bytes of KV "
    "cache per token.",
    "classify": "Say how a llama.cpp run ended: which out-of-memory, or what else, and the next "
    "step.",
    "models": "List the models that are known by name, by family, or show one with its "
    "quantizations.",
    "gpus": "List the cards that are known, or show one with the sources of its figures.",
    "claims": "Hold claims about memory against the estimate and the phantom of the card that "
    "they are about.",
    "sweep": "Measure memory, speed and quality over the points of a sweep, on every card of the "
    "machine.",
    "frontier": "Find the largest context that runs when it is filled to the end, by loading and "
    "filling it.",
    "first-card": "Measure what matters on a card that was never measured: memory, speed, running "
    "out, beside what was predicted.",
    "rerun": "Measure a recorded point again: the same model, knobs, work and limits, on its kind "
    "of card if that is here.",
    "chat": "Talk with a model in a conversation that outlives its context.",
    "demo": "Make the demo model, measure it, calibrate the estimate on it and write the page. "
    "Started again, it resumes.",
    "report": "Write report.html (one file, no network), report.md and figures/ from measured "
    "records.",
    "site": "Write a site of all results: an index, each report, machines side by side, claims, "
    "what-if pages.",
    "calibrate": "Calibrate speed and memory on a machine's own records.",
    "compare": "Pair the points of two folders: differences with intervals, regressions first, "
    "why points did not pair, and what changed around them.",
    "merge": "Join results folders; a record that is in two of them is taken once.",
    "import": "Read other tools' results, or a file of `export --share`, into records; what is "
    "there already is left out.",
    "export": "Write a folder's timings as another tool has them: llama.cpp's "
    "compare-llama-bench.py reads each layout.",
    "records": "What is in a results folder, and how records are written.",
    "tasks": "Tasks over a long context: their items out for other graders, their answers in.",
    "doctor": "Say what is installed, which build and cards are seen, and the command that mends "
    "what is missing.",
    "verify": "Hold the estimate against what llama.cpp itself counts, with nothing allocated.",
    "setup": "Set llama.cpp up for this machine's cards.",
    "bundle": "Pack oomph, its wheels, llama.cpp, the demo model and the sweeps; `DIR/install "
    "/opt/oomph` sets them up there.",
    "synth": "Write a GGUF with the tensors of MODEL that llama.cpp loads: sparse, a few MB on "
    "disk, unless --random.",
    "demo-model": "Make the demo model, SmolLM2-135M-Instruct split into 8 experts, and print its "
    "path.",
    "phantom": "CUDA's memory without a card: try any card before you buy it.",
}
"""The first words that each command's own help begins with."""
_TOGETHER: Final[Mapping[str, str]] = {
    "inspect": "facts",
    "gpus": "facts",
    "synth": "models",
    "merge": "records",
    "rerun": "records",
    "import": "exchange",
    "export": "exchange",
}
"""The module of a command that stands in another's."""


def module_of(name: str) -> str:
    """The module under `oomph.cli` that registers the command `name`."""
    return _TOGETHER.get(name, name.replace("-", "_"))
