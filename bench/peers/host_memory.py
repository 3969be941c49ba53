"""The host's memory of a real llama-server over a conversation, beside what oomph predicts.

    python bench/peers/host_memory.py MODEL [--layers N] [--turns 50] [--other-turns 0] [-- FLAGS]

MODEL is a GGUF file, or a name whose shape is written with random weights (`--layers` keeps its
first layers). llama-server runs on the CPU; after each turn its resident memory is read from /proc
and held against the prediction, which knows the length of each prompt and nothing of the log. It is
the most that was live so far: what is freed in pieces of less than 32 MiB the C library keeps. The
turns of `--other-turns` are of another conversation in the middle, so that the first is saved to
the prompt cache and comes back. Exit code 1 where one turn is off by more than 5 %.
"""

import argparse
import json
import re
import sys
import tempfile
import urllib.request
from dataclasses import dataclass, field, replace
from pathlib import Path

from oomph.architectures.source import read_model
from oomph.architectures.spec import ModelSpec
from oomph.config import RunConfig
from oomph.estimate.estimator import Estimator
from oomph.estimate.memory import MemoryModel, checkpoint_bytes
from oomph.measure.server_run import Server, built_server, serving
from oomph.models.synth import write_synthetic
from oomph.programs.said import Said
from oomph.units import MIB

BAR = 0.05
MIN_STEP = 8192
"""--checkpoint-min-step."""
OFFSET = 4
"""A checkpoint is made so many tokens before the end of a prompt (server-context.cpp)."""
QUESTION = "turn {}: please tell me more about what was said before, and leave nothing out. "
OTHER = "another matter {}: which of these books would you read first, and for what reason? "
REPLY = "that is a good question, thank you for asking it."
N_PREDICT = 4
N_UBATCH = 128
"""Fewer tokens than a turn brings, so that the compute buffer is used to its end."""


@dataclass
class Slot:
    """Replays llama-server's list of checkpoints of one conversation: (task, tokens) in order."""

    most: int
    made: list[tuple[int, int]] = field(default_factory=list)
    n_tokens: int = 0

    def ask(self, task: int, n_prompt: int, n_own: int) -> None:
        """A prompt of so many tokens, whose last `n_own` are the user's new message: it is read in
        pieces, and a checkpoint is made before one that begins the message or ends near the
        end."""
        start = self.n_tokens - OFFSET - 1 if self.n_tokens else 0
        message = n_prompt - n_own
        self.made = [each for each in self.made if each[1] <= self.n_tokens]
        ends = {message, n_prompt - OFFSET - N_UBATCH, n_prompt - OFFSET, n_prompt}
        for end in sorted(each for each in ends if each > start):
            is_near = n_prompt < end + N_UBATCH
            if start and (start == message or is_near):
                self._add(task, start)
            start = end
        self.n_tokens = n_prompt

    def _add(self, task: int, n_tokens: int) -> None:
        last, kept = -1, list(self.made)
        for each in self.made:
            if len(kept) + 1 < self.most:
                break
            if each[0] != task and last >= 0 and each[1] <= last + MIN_STEP:
                kept.remove(each)
                continue
            last = each[1]
        kept = kept[max(len(kept) + 1 - self.most, 0) :]
        self.made = [each for each in kept if each[1] != n_tokens] + [(task, n_tokens)]


class Account:
    """oomph's figures for one model and configuration."""

    def __init__(self, model: ModelSpec, config: RunConfig) -> None:
        self._setup = MemoryModel(model).setup(config)
        self._swa_full = config.swa_full
        estimator = Estimator(model)
        memory = estimator.memory(config)
        host = estimator.host(config, memory=memory).memory
        self.busy_bytes, self.most_bytes = host.busy_bytes, host.most_bytes or 0
        whole = sum(part.kv_cache_bytes for part in memory.devices.values())
        window = self._window_bytes(self._setup.sizes.cells_swa * self._setup.sizes.n_stream)
        n_cells = self._setup.sizes.cells * self._setup.sizes.n_stream
        self._cell_bytes = (whole - window) / n_cells

    def _window_bytes(self, cells: int) -> int:
        """Bytes of so many cells of the layers with a window."""
        if not self._setup.hparams.has_swa:
            return 0
        hparams = replace(self._setup.hparams, n_swa=cells)
        return checkpoint_bytes(replace(self._setup, hparams=hparams), cells, swa_full=False)

    def checkpoint(self, n_tokens: int) -> int:
        """One checkpoint at so many tokens."""
        return checkpoint_bytes(self._setup, n_tokens, swa_full=self._swa_full)

    def checkpoints(self, slot: Slot) -> int:
        """All checkpoints of a slot."""
        return sum(self.checkpoint(n) for _, n in slot.made)

    def saved(self, slot: Slot) -> int:
        """The slot's state in the prompt cache, its checkpoints not counted."""
        return round(self._cell_bytes * slot.n_tokens) + self.checkpoint(slot.n_tokens)


def resident(pid: int) -> int:
    """Resident bytes of a process, pages of files included."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return sum(int(n) for n in re.findall(r"Rss(?:Anon|File):\s+(\d+) kB", status)) * 1024


def ask(server: Server, messages: list[dict[str, str]]) -> int:
    """Put a conversation to the server; the tokens of its prompt."""
    body = {"messages": messages, "max_tokens": N_PREDICT, "temperature": 0}
    request = urllib.request.Request(
        f"{server.url}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=600) as reply:
        return int(json.load(reply)["usage"]["prompt_tokens"])


def cut(model: ModelSpec, n_layer: int) -> ModelSpec:
    """The first layers of a model."""
    tensors = {
        name: tensor
        for name, tensor in model.tensors.items()
        if not name.startswith("blk.") or int(name.split(".")[1]) < n_layer
    }
    metadata = {**model.metadata, f"{model.arch}.block_count": n_layer}
    return replace(model, tensors=tensors, metadata=metadata)


def watch(path: Path, model: ModelSpec, arguments: argparse.Namespace, config: RunConfig) -> float:
    """Hold the conversation, print a line per turn; the largest share by which one is off."""
    account, program = Account(model, config), built_server()
    if program is None:
        raise SystemExit("scripts/llama-tools builds llama-server")
    flags = ["-c", str(config.n_ctx), "-ub", str(N_UBATCH), "-np", "1", "-t", "2"]
    flags += arguments.flags
    talks: dict[str, list[dict[str, str]]] = {QUESTION: [], OTHER: []}
    slots = {name: Slot(config.ctx_checkpoints) for name in talks}
    first, worst, high, live = {QUESTION: 0, OTHER: 0}, 0.0, 0, QUESTION
    half = (arguments.turns - arguments.other_turns) // 2
    print(f"{'turn':>4} {'tokens':>7} {'checkpoints':>11} {'saved':>6} {'predicted':>9} {'RSS':>9}")
    with serving([program, "-m", path, *flags]) as server:
        if server.await_health(300.0) is None:
            raise SystemExit("\n".join(server.log()[-20:]))
        for turn in range(arguments.turns):
            is_other = half <= turn < half + arguments.other_turns
            left, live = live, OTHER if is_other else QUESTION
            if left != live:  # saved: its checkpoints are there twice while they are copied
                both = [slot for slot in slots.values() if slot.n_tokens]
                growth = sum(account.checkpoints(slot) + account.saved(slot) for slot in both)
                high = max(high, account.busy_bytes + growth + account.checkpoints(slots[left]))
            talks[live].append({"role": "user", "content": live.format(turn)})
            n_prompt = ask(server, talks[live])
            talks[live].append({"role": "assistant", "content": REPLY})
            first[live] = first[live] or n_prompt
            slots[live].ask(turn, n_prompt, first[live])
            saved = [slot for name, slot in slots.items() if name != live and slot.n_tokens]
            growth = sum(account.checkpoints(slot) for slot in slots.values())
            growth += sum(map(account.saved, saved))
            high = max(high, account.busy_bytes + growth)
            predicted, seen = high, resident(server.pid)
            off = predicted / seen - 1
            worst = max(worst, abs(off))
            print(
                f"{turn + 1:>4} {n_prompt:>7} {len(slots[live].made):>11} {len(saved):>6} "
                f"{predicted / MIB:>9.1f} {seen / MIB:>9.1f} {off:>+7.1%}",
                flush=True,
            )
        made = [line for line in server.log() if "created context checkpoint" in line]
    at_most = account.most_bytes
    print(f"checkpoints made: {len(made)}; at most, as oomph says it: {at_most / MIB:.1f} MiB")
    print(f"largest difference: {worst:.1%}")
    return worst


def main() -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--layers", type=int)
    parser.add_argument("--turns", type=int, default=50)
    parser.add_argument("--other-turns", type=int, default=0)
    parser.add_argument("--n-ctx", type=int, default=16384)
    parser.add_argument("flags", nargs="*")
    arguments = parser.parse_args()
    model = read_model(arguments.model)
    knobs = {
        "n_ctx": arguments.n_ctx,
        "n_ubatch": N_UBATCH,
        "n_seq_max": 1,
        "kv_unified": False,
        "n_devices": 0,
    }
    config = Said(knobs=knobs).config(model)
    if Path(arguments.model).exists():
        return 1 if watch(Path(arguments.model), model, arguments, config) > BAR else 0
    model = cut(model, arguments.layers) if arguments.layers else model
    with tempfile.TemporaryDirectory() as folder:
        path = write_synthetic(model, Path(folder) / "model.gguf", weights="random")
        return 1 if watch(path, model, arguments, config) > BAR else 0


if __name__ == "__main__":
    sys.exit(main())
