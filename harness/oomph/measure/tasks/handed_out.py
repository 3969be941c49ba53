"""Items of tasks as JSON lines for whoever asks a model elsewhere: a server, another harness."""

import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from oomph.errors import ConfigError, ModelFileError
from oomph.files import write_files
from oomph.gguf.header import read_gguf
from oomph.measure.child import Child
from oomph.measure.executors import QUIET
from oomph.measure.plan import DEMO
from oomph.measure.sweep import checked_table
from oomph.measure.tasks.items import asked_items
from oomph.measure.tasks.words import pools
from oomph.measure.worker.layout import Pools, item_name, lay_out
from oomph.measure.worker.protocol import FAILED, LAID_OUT, TaskAsked, TaskText
from oomph.measure.worker.vocabulary import too_short
from oomph.measure.workload import TaskTest
from oomph.models.demo import demo_model
from oomph.units import read_counts

CHARACTERS_PER_TOKEN: Final = 4
"""What stands for a token where no model's vocabulary says what is one."""
_WORKER: Final = ("-P", "-m", "oomph.measure.worker.items")
_LONGEST_S: Final = 600.0


def task_test(*, lengths: str, families: str | None, n_items: int) -> TaskTest:
    """The test that options spell: lengths as `4k,16k`, families by comma (None: all)."""
    try:
        counts = read_counts(lengths)
    except ValueError as error:
        raise ConfigError(f"--lengths {lengths}: {error}") from None
    values = {"lengths": counts, "n_items": n_items}
    if families is not None:
        values["families"] = [name.strip() for name in families.split(",")]
    return checked_table(TaskTest, values, {}, where="oomph tasks items")


def write_items(test: TaskTest, *, seed: int, model: str | None, out: Path | None) -> str:
    """The items as JSON lines, written to `out` if there is one; `model` is a file, or demo."""
    path = None if model is None else demo_model() if model == DEMO else Path(model)
    lines = item_lines(test, seed=seed, model=path)
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    if out is not None:
        write_files({out: text}, otherwise="name another file with --out")
    return text


def item_lines(test: TaskTest, *, seed: int, model: Path | None = None) -> Iterator[dict[str, Any]]:
    """The items, each with its `id`, `task`, `messages`, `expected` and lengths in tokens.

    With a `model` they are those that a sweep asks of it, laid out with its vocabulary and with the
    `prompt` in its chat template; its weights are not loaded. Without one a token is four
    characters. ConfigError where a length holds no item, or the lengths are not all numbers;
    ModelFileError where the vocabulary or its template cannot be had.
    """
    longest = max((length for length in test.lengths if length != "full"), default=0)
    if "full" in test.lengths:
        raise ConfigError('lengths has "full", which is a context\'s; give numbers of tokens')
    items = asked_items(test, seed=seed, n_ctx=longest)
    texts = _laid_out_by(model, items) if model else map(_laid_out, items)
    left_out = list[TaskAsked]()
    for item, text in zip(items, texts, strict=True):
        if text is None:
            left_out.append(item)
            continue
        yield _line(item, text)
    if why := too_short(left_out):
        raise ConfigError(f"{why}; give longer lengths")


def _line(item: TaskAsked, text: TaskText) -> dict[str, Any]:
    line = {
        "id": text["item"],
        "task": item["task"],
        "n_tokens": item["n_tokens"],
        "n_prompt": text["n_prompt"],
        "n_answer": item["n_answer"],
        "depth": item["depth"],
        "expected": item["expected"],
        "messages": [{"role": "user", "content": text["words"]}],
    }
    return line | ({"prompt": text["prompt"]} if text["prompt"] else {})


def _laid_out(item: TaskAsked) -> TaskText | None:
    """The item at four characters a token, without a template around it."""
    pieces = lay_out(item, Pools(pools(), _pieces), _pieces, n_around=0)
    if pieces is None:
        return None
    name = item_name(pieces, item["expected"])
    return {"item": name, "n_prompt": len(pieces), "words": "".join(pieces), "prompt": ""}


def _pieces(text: str) -> list[str]:
    step = CHARACTERS_PER_TOKEN
    return [text[first : first + step] for first in range(0, len(text), step)]


def _laid_out_by(model: Path, items: list[TaskAsked]) -> Iterator[TaskText | None]:
    """The items as a child lays them out with the model's vocabulary: no fault of a file ends this
    process."""
    read_gguf(model)  # says what is wrong with a file that is none
    job: Mapping[str, Any] = {
        "model_path": str(model),
        "parent_pid": os.getpid(),
        "pools": pools(),
        "items": items,
    }
    with tempfile.TemporaryFile() as log:
        child = Child(_WORKER, environment=QUIET, log=log)
        try:
            child.send(job)
            for _ in items:
                said = child.event(time.monotonic() + _LONGEST_S) or {}
                if said.get("event") != LAID_OUT:
                    why = said.get("message") if said.get("event") == FAILED else "llama.cpp ended"
                    raise ModelFileError(f"{model}: {why}; name another model, or none")
                yield said["text"]
        finally:
            child.end(at_once=True)
