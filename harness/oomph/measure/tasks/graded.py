"""Answers to items that were handed out, or scores of them by another grader, as a record."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from oomph.errors import ConfigError
from oomph.foreign import parse_json, read_text
from oomph.frozen import frozen
from oomph.measure.plan import identify
from oomph.measure.tasks.grading import grade
from oomph.records.imports import record_on
from oomph.records.schema import Record, TaskItem
from oomph.records.store import Store
from oomph.records.tools.made import Source, record_of
from oomph.records.tools.placed import Place

ORIGIN: Final = "oomph tasks grade"
RULE: Final = "rule"
MAX_BYTES: Final = 1 << 30
"""Items of a few hundred thousand tokens are a megabyte each."""
_ANSWER_BYTES: Final = 1 << 16


@frozen
class Graded:
    """What is known of who answered: the model by file or name, RunConfig's knobs, the card, the
    grader of scores, and whether items may stay without an answer."""

    model: str
    knobs: Mapping[str, Any] = field(default_factory=dict)
    card: str | None = None
    grader: str | None = None
    is_partial: bool = False


def one_setting(knobs: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """The knobs of a setting, of lists that must have one value each."""
    for name, values in knobs.items():
        if len(values) != 1:
            raise ConfigError(
                f"{name} has {len(values)} values; answers are of one setting, so give one"
            )
    return {name: values[0] for name, values in knobs.items()}


def add_record(items: Path, answers: Path, said: Graded, *, out: Path) -> str:
    """Add the record of the answers to the folder `out`; what was done, as a sentence."""
    record = graded_record(items, answers, said)
    with Store(out) as store:
        if record.record_id in {each.record_id for each in store.records()}:
            return f"{out} has these answers already"
        store.append(record)
    found = record.tasks.items if record.tasks else []
    n_right = sum(item.score == 1 for item in found)
    return f"{out}: {len(found):,} items in record {record.record_id}, {n_right:,} right"


def graded_record(items: Path, answers: Path, said: Graded) -> Record:
    """The record of the answers; of where they were given it holds what `said` tells, and no more.

    A line of `answers` is {"id", "answer"}, which the rule grades, or {"id", "score"} (an answer
    may stand beside it), or one of lm-evaluation-harness's `--log_samples`. ConfigError, with file,
    line and key, for what is neither: an id that is unknown or comes twice, a score outside 0 to 1,
    items without an answer unless `is_partial`.
    """
    asked = _by_id(items)
    given = _answers(answers, asked, items)
    absent = [item for item in asked if item not in given]
    if absent and not said.is_partial:
        raise ConfigError(
            f"{answers} has no answer to {len(absent):,} of {len(asked):,} items of {items}, the "
            f"first of them {absent[0]}; add them, or take what there is with --partial"
        )
    scored = {name for name, row in given.items() if row.score is not None}
    if scored and len(scored) < len(given):
        raise ConfigError(
            f"{answers} has scores for {len(scored):,} of {len(given):,} answers; give every line "
            "a score, or none"
        )
    if scored and not said.grader:
        raise ConfigError(f"{answers} has scores; say who gave them with --grader NAME")
    tasks = {
        "items": [_item(asked[name], given[name]).model_dump() for name in asked if name in given],
        "graded_by": said.grader if scored else RULE,
        "missing": f"{len(absent)} of {len(asked)} items have no answer" if absent else None,
    }
    path = Path(said.model)
    source = Source(path=answers, model=identify(path) if path.is_file() else said.model)
    record = record_of(
        source,
        origin=ORIGIN,
        config=said.knobs,
        model=source.named_model(),
        place=Place(backend="unknown", cards=(), n_devices=0),
        timings=[],
        tasks=tasks,
    )
    return record_on(record, said.card) if said.card else record


@frozen
class _Given:
    answer: str | None
    score: float | None


def _lines(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Where each line stands, and its object."""
    remedy = "give a file of JSON lines"
    text = read_text(path, error=ConfigError, remedy=remedy, limit=MAX_BYTES)
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path} line {number}"
        try:
            row = parse_json(line)
        except ValueError as error:
            raise ConfigError(f"{where} is no JSON ({error}); {remedy}") from None
        if not isinstance(row, dict):
            raise ConfigError(f"{where} is no JSON object; {remedy}")
        yield where, row


def _by_id(path: Path) -> dict[str, TaskItem]:
    """The items by their ids, each without a score."""
    found: dict[str, TaskItem] = {}
    keys = ("task", "n_tokens", "n_prompt", "depth", "expected")
    for where, row in _lines(path):
        name = _id_of(row, where)
        if name in found:
            raise ConfigError(f"{where} has the id {name!r} a second time; leave one of them out")
        try:
            told = {key: row[key] for key in keys if row.get(key) is not None}
            found[name] = TaskItem.model_validate({**told, "item": name, "score": 0})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(map(str, first["loc"]))
            raise ConfigError(
                f"{where}: {key}: {first['msg'].lower()}; give the file that `oomph tasks items` "
                "wrote"
            ) from None
        if not found[name].expected:
            raise ConfigError(f"{where} has no expected; give the file of `oomph tasks items`")
    if not found:
        raise ConfigError(f"{path} has no items; write them with `oomph tasks items`")
    return found


def _answers(path: Path, asked: Mapping[str, TaskItem], items: Path) -> dict[str, _Given]:
    found: dict[str, _Given] = {}
    for where, row in _lines(path):
        name = _id_of(row, where)
        if name not in asked:
            raise ConfigError(
                f"{where} has the id {name!r}, which {items} has not; mend or drop it"
            )
        if name in found:
            raise ConfigError(f"{where} has the id {name!r} a second time; leave one of them out")
        found[name] = _Given(answer=_answer(row, where), score=_score(row, where))
        if found[name] == _Given(answer=None, score=None):
            raise ConfigError(f"{where} has neither answer nor score; give one of them")
    return found


def _id_of(row: Mapping[str, Any], where: str) -> str:
    """The item's id: of the row, or of the `doc` that lm-evaluation-harness keeps."""
    doc = row.get("doc")
    value = row.get("id", doc.get("id") if isinstance(doc, dict) else None)
    if not isinstance(value, str) or not 0 < len(value) <= 200:
        raise ConfigError(f"{where} has no id; each line needs the item's id, a text")
    return value


def _answer(row: Mapping[str, Any], where: str) -> str | None:
    value = row.get("answer")
    if value is None and isinstance(row.get("filtered_resps"), list):  # of --log_samples
        value = next(iter(row["filtered_resps"]), None)
        value = next(iter(value), None) if isinstance(value, list) else value
    if value is not None and not isinstance(value, str):
        raise ConfigError(f"{where}: answer is no text; give what the model wrote")
    if value is not None and len(value) > _ANSWER_BYTES:
        raise ConfigError(f"{where}: answer has {len(value):,} characters; cut it to 65,536")
    return value


def _score(row: Mapping[str, Any], where: str) -> float | None:
    value = row.get("score")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ConfigError(f"{where}: score is {str(value)[:40]}; it takes a number from 0 to 1")
    return float(value)


def _item(item: TaskItem, given: _Given) -> TaskItem:
    by_rule = grade(given.answer or "", item.expected)
    score = by_rule if given.score is None else given.score
    answer = {} if given.answer is None else {"answer": given.answer}
    return TaskItem.model_validate({**item.model_dump(), **answer, "score": score})
