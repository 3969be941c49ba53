"""Results of lm-evaluation-harness as records: its samples item by item, or its means alone.

`--log_samples` writes `samples_TASK_DATE.jsonl`, a line a document and filter, beside
`results_DATE.json`, which tells the model (`lm_eval/loggers/evaluation_tracker.py`,
`lm_eval/evaluator.py`). An item is named by its document's hash, so that two runs pair. What
neither file says is None: of settings they tell what stands in `model_args` and no more.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeGuard

from oomph.errors import StoreError
from oomph.foreign import parse_json, read_text
from oomph.records.schema import ModelIdentity, Record
from oomph.records.tools.made import Source, record_of, said
from oomph.records.tools.placed import Place
from oomph.units import counted

ORIGIN: Final = "lm-evaluation-harness"
MAX_BYTES: Final = 256 << 20
"""Samples carry their prompts: a thousand of 64k tokens are 250 MB."""
MOST_ITEMS: Final = 100_000
_HEAD_BYTES: Final = 1 << 20
_BEGINNING: Final = 200
_RESULT_KEYS: Final = (b'"configs"', b'"n-samples"', b'"group_subtasks"', b'"versions"')
_NAME: Final = re.compile(r"samples_(.{1,200}?)_([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9.-]{8,20})\.jsonl")
_NEEDS: Final = ("doc_id", "doc", "target", "metrics")
_PREFERRED: Final = ("exact_match", "acc", "acc_norm", "pass@1", "contains", "f1")
_CONTEXTS: Final = ("max_length", "max_model_len", "n_ctx", "num_ctx", "context_length")
_MODELS: Final = ("model", "pretrained", "path", "gguf_file")
_SECRET: Final = re.compile(r"(?i)key|token|secret|password|auth|url")
"""Arguments that a record of results does not keep."""
_KEPT_TEXT: Final = 2000
_REMEDY: Final = "give the samples_*.jsonl or results_*.json that lm_eval wrote"
_UNKNOWN: Final = Place(backend="unknown", cards=(), n_devices=0)


def is_lm_eval(path: Path) -> bool:
    """Whether the file is one of lm-evaluation-harness's: samples by their first line, results by
    their keys."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES).lstrip()
    except OSError:
        return False
    if not head.startswith(b"{"):
        return False
    if _is_samples(head[:_BEGINNING].decode(errors="replace")):
        return True
    return b'"results"' in head[:_BEGINNING] and any(key in head for key in _RESULT_KEYS)


def _is_samples(text: str) -> bool:
    return '"doc_id"' in text[:_BEGINNING]


def read_lm_eval(path: Path, *, model: str | ModelIdentity | None = None) -> Record:
    """The record of one file. `model` names the model where the results beside it do not.
    StoreError for a file that does not fit, with its line and key."""
    text = read_text(path, error=StoreError, remedy=_REMEDY, limit=MAX_BYTES)
    if _is_samples(text.lstrip()):
        return _of_samples(path, text, model)
    return _of_results(path, text, model)


def _of_samples(path: Path, text: str, model: str | ModelIdentity | None) -> Record:
    named = _NAME.fullmatch(path.name)
    task, run = (named[1], named[2]) if named else (path.stem, path.stem)
    around = _results_beside(path, run) if named else {}
    rows = list(_rows(path, text))
    filters = Counter(str(row.get("filter", "none")) for _, row in rows)
    chosen = next(iter(filters))
    own = [(line, row) for line, row in rows if str(row.get("filter", "none")) == chosen]
    metric = _metric(path, own)
    name = f"{task} ({metric}{'' if chosen == 'none' else f', {chosen}'})"
    seen: Counter[str] = Counter()
    items = [_item(path, line, row, name, metric, seen) for line, row in own]
    left = len(rows) - len(own)
    others = counted(len(filters) - 1, "other filter")
    why = f"{counted(left, 'sample')} of {others} left out" if left else None
    longest = max(_prompt_bytes(row) for _, row in own)
    return _record(path, model, around, run, items, why, longest=longest)


def _rows(path: Path, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    n_rows = 0
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = parse_json(line)
        except ValueError as error:
            raise StoreError(f"{path} line {number} is no JSON ({error}); {_REMEDY}") from None
        lacking = [key for key in _NEEDS if not isinstance(row, dict) or key not in row]
        if lacking:
            raise StoreError(f"{path} line {number} has no {lacking[0]}; {_REMEDY}")
        n_rows += 1
        if n_rows > MOST_ITEMS:
            raise StoreError(f"{path} has more than {MOST_ITEMS:,} samples; give a part of it")
        yield number, row


def _metric(path: Path, rows: list[tuple[int, Mapping[str, Any]]]) -> str:
    """The metric that the first sample has as a number from 0 to 1: a known one, else the first."""
    line, row = rows[0]
    names = [str(name) for name in row["metrics"]] if isinstance(row["metrics"], list) else []
    usable = [name for name in names if _is_score(row.get(name))]
    if not usable:
        raise StoreError(
            f"{path} line {line} has no metric from 0 to 1 (its metrics: "
            f"{', '.join(names)[:80] or 'none'}); such a task cannot be paired, import the "
            "results_*.json for the mean"
        )
    return next((name for name in _PREFERRED if name in usable), usable[0])[:80]


def _is_score(value: Any) -> TypeGuard[float]:
    return isinstance(value, bool | int | float) and 0 <= value <= 1


def _item(
    path: Path, line: int, row: Mapping[str, Any], task: str, metric: str, seen: Counter[str]
) -> dict[str, Any]:
    score = row.get(metric)
    if not _is_score(score):
        raise StoreError(
            f"{path} line {line}: {metric} is {str(score)[:40]}; it takes a number from 0 to 1"
        )
    told = row.get("doc_hash")
    digest = told if isinstance(told, str) and told else _digest(row["doc"])
    seen[digest] += 1
    again = f"-{seen[digest]}" if seen[digest] > 1 else ""
    answer = _answer(row)
    return {
        "task": task,
        "item": f"{digest[:32]}{again}",
        "expected": [str(row["target"])[:_KEPT_TEXT]],
        "score": float(score),
        **({} if answer is None else {"answer": answer}),
    }


def _digest(doc: Any) -> str:
    return hashlib.sha256(json.dumps(doc, sort_keys=True).encode()).hexdigest()


def _answer(row: Mapping[str, Any]) -> str | None:
    """What the model wrote, of tasks in which it writes."""
    found = row.get("filtered_resps")
    while isinstance(found, list) and found:
        found = found[0]
    return found[:_KEPT_TEXT] if isinstance(found, str) else None


def _prompt_bytes(row: Mapping[str, Any]) -> int:
    """The longest text of a sample's requests in bytes: no token is shorter than one."""
    arguments = row.get("arguments")
    return max(len(json.dumps(arguments, ensure_ascii=False).encode()), 1) if arguments else 1


def _results_beside(path: Path, run: str) -> dict[str, Any]:
    """The results of the same run, where they lie beside the samples and can be read."""
    beside = path.with_name(f"results_{run}.json")
    if not beside.is_file():
        return {}
    text = read_text(beside, error=StoreError, remedy=_REMEDY, limit=MAX_BYTES)
    return _parsed(beside, text)


def _parsed(path: Path, text: str) -> dict[str, Any]:
    try:
        found = parse_json(text)
    except ValueError as error:
        raise StoreError(f"{path} is no JSON ({error}); {_REMEDY}") from None
    if not isinstance(found, dict) or not isinstance(found.get("results"), dict):
        raise StoreError(f"{path} has no results; {_REMEDY}")
    return found


def _of_results(path: Path, text: str, model: str | ModelIdentity | None) -> Record:
    found = _parsed(path, text)
    why = "means alone: lm_eval's --log_samples writes the items, by which settings are paired"
    run = path.stem.removeprefix("results_")
    return _record(path, model, found, run, [], why, longest=1)


def _record(
    path: Path,
    model: str | ModelIdentity | None,
    around: Mapping[str, Any],
    run: str,
    items: list[dict[str, Any]],
    why: str | None,
    *,
    longest: int,
) -> Record:
    arguments = _arguments(around)
    name = around.get("model_name") or next(
        (arguments[key] for key in _MODELS if arguments.get(key)), path.parent.name or path.stem
    )
    n_ctx = next((n for key in _CONTEXTS if (n := _whole(arguments.get(key)))), None)
    source = Source(path=path, model=model)
    kept = {
        "run": run[:80],
        ORIGIN: {
            "model_args": said({k: v for k, v in arguments.items() if not _SECRET.search(k)}),
            "means": _means(around) if not items else {},
            **said({k: around.get(k) for k in ("lm_eval_version", "git_hash", "limit")}),
        },
    }
    return record_of(
        source,
        origin=ORIGIN,
        config={"n_ctx": n_ctx or longest},
        model=source.named_model(str(name)),
        place=_UNKNOWN,
        timings=[],
        unread=None if n_ctx else {"n_ctx": "not said; no prompt has more bytes than this"},
        workload=kept,
        tasks={"items": items, "graded_by": ORIGIN, **({"missing": why} if why else {})},
    )


def _arguments(around: Mapping[str, Any]) -> dict[str, Any]:
    """`model_args`, which newer versions write as an object and older as `key=value,…`."""
    config = around.get("config")
    told = config.get("model_args") if isinstance(config, dict) else None
    if isinstance(told, dict):
        return told
    parts = (part.partition("=") for part in str(told or "")[:2000].split(","))
    return {key.strip(): value for key, dash, value in parts if dash}


def _whole(value: Any) -> int | None:
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and 0 < len(text) <= 8 else None


def _means(around: Mapping[str, Any]) -> dict[str, Any]:
    """Each task's metrics with their standard errors and its number of samples, as they are
    written."""
    counts = around.get("n-samples")
    found = {}
    for task, metrics in list(around.get("results", {}).items())[:200]:
        if isinstance(metrics, dict):
            n = counts.get(task) if isinstance(counts, dict) else None
            effective = n.get("effective") if isinstance(n, dict) else None
            numbers = {k: v for k, v in metrics.items() if isinstance(v, int | float)}
            found[str(task)[:200]] = said(numbers) | ({"n": effective} if effective else {})
    return found
