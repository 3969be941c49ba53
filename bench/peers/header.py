"""Our header reader beside gguf.GGUFReader, on a vocabulary of 150,000 tokens and as many merges.

    python bench/peers/header.py [MODEL.gguf]

Both read the same file in the same process, in turns; the fastest of the rounds of each counts.
Without a file one is written with the gguf package: a real model's metadata and 400 tensors without
their data.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import gguf
from oomph.gguf.header import SkippedArray, read_gguf

N_TOKENS = 150_000
GOAL_SECONDS, GOAL_RATIO = 0.060, 30


def write_model(path: Path) -> None:
    """A GGUF with the header of a large model: tokens, their types, merges, 400 small tensors."""
    writer = gguf.GGUFWriter(path, "qwen3moe")
    writer.add_block_count(48)
    writer.add_context_length(40960)
    writer.add_embedding_length(2048)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([f"tok{i * 7919 % 1_000_003:x}" for i in range(N_TOKENS)])
    writer.add_token_types([1] * N_TOKENS)
    writer.add_token_merges([f"Ġ{i % 997:x} {i * 31 % 9973:x}" for i in range(N_TOKENS)])
    for i in range(400):
        writer.add_tensor(f"blk.{i // 8}.tensor_{i % 8}.weight", np.zeros(32, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def seconds(read: Callable[[], object]) -> float:
    """CPU time of one reading, which other processes on the machine do not lengthen much."""
    start = time.process_time()
    read()
    return time.process_time() - start


def compare(path: Path, rounds: int) -> bool:
    """Print both times and their ratio; whether both goals are met."""
    ours, theirs = [], []
    for _ in range(rounds):
        ours += [seconds(lambda: read_gguf(path)) for _ in range(3)]
        theirs.append(seconds(lambda: gguf.GGUFReader(path)))
    tokens = read_gguf(path).metadata.get("tokenizer.ggml.tokens")
    n_tokens = tokens.count if isinstance(tokens, SkippedArray) else 0
    fast, slow = min(ours), min(theirs)
    print(f"vocabulary of {n_tokens:,} tokens, {path.stat().st_size / 2**20:.1f} MiB")
    print(
        f"oomph {fast * 1e3:.1f} ms   gguf.GGUFReader {slow * 1e3:,.0f} ms   {slow / fast:.0f} "
        "times as fast"
    )
    return fast < GOAL_SECONDS and slow / fast >= GOAL_RATIO


def main() -> None:
    """Parse the command line, compare, exit 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "model", nargs="?", type=Path, help="a GGUF file; without one, a file is written"
    )
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = given.model or Path(folder) / "vocabulary.gguf"
        if not given.model:
            write_model(path)
        sys.exit(not compare(path, given.rounds))


if __name__ == "__main__":
    main()
