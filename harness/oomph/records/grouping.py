"""Which records belong together: of one model on one machine, and of one setting there.

Stands apart because a figure that mixed settings would lie: 131,072 tokens of q8_0 cache may take
less than 76,544 of f16. A setting is every knob that is neither n_ctx nor n_expert_used, which are
the axes of a page.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, Final, TypeVar

from oomph.records.schema import ModelIdentity, Record

AXES: Final = frozenset({"n_ctx", "n_expert_used"})

Key = TypeVar("Key", bound=Hashable)
Setting = tuple[tuple[str, Any], ...]
"""The knobs that a record was run with but for AXES, in the order of their names, with their
values."""


def model_key(model: ModelIdentity) -> str:
    """The same for records of one file; an imported row without a header is told by its name and
    its sizes."""
    return (
        model.header_sha256
        or f"{model.name} {model.file_bytes} {model.tensor_bytes} {model.n_params}"
    )


def subject(record: Record) -> Hashable:
    """The same for records of one model on one machine with the same cards."""
    environment = record.environment
    cards = tuple(str(card.get("name")) for card in environment.gpus)
    return model_key(record.model), environment.machine, environment.backend, cards


def by_subject(records: Iterable[Record]) -> list[list[Record]]:
    """The records of each subject, in the order in which the subjects first appear."""
    return list(_grouped(records, subject).values())


def by_model(records: Iterable[Record]) -> list[list[Record]]:
    """The records of each model, wherever they were measured."""
    return list(_grouped(records, lambda record: model_key(record.model)).values())


def _grouped(records: Iterable[Record], key: Callable[[Record], Key]) -> dict[Key, list[Record]]:
    groups: dict[Key, list[Record]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    return groups


def setting(record: Record) -> Setting:
    """The record's knobs but for its axes; a knob left to the model is none."""
    knobs = sorted(record.config.items())
    return tuple(
        (knob, _plain(value)) for knob, value in knobs if knob not in AXES and value is not None
    )


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def by_setting(records: Iterable[Record]) -> dict[Setting, list[Record]]:
    """The records of each setting, in the order in which the settings first appear."""
    return _grouped(records, setting)


def leading(records: Sequence[Record], counts: Callable[[Record], bool]) -> list[Record]:
    """The records of the setting in which `counts` holds for the most; of equals, the first."""
    groups = by_setting(records).values()
    return max(groups, key=lambda group: sum(map(counts, group)), default=[])


def setting_words(own: Setting, settings: Iterable[Setting]) -> str:
    """What tells this setting from the other `settings`, such as `KV q8_0, flash_attn on`; empty
    for one only."""
    others = [dict(each) for each in settings]
    differ = {knob: value for knob, value in own if any(each.get(knob) != value for each in others)}
    if "type_k" in differ and dict(own).get("type_v") == differ["type_k"]:
        differ = {"KV": differ["type_k"]} | {
            k: v for k, v in differ.items() if k not in ("type_k", "type_v")
        }
    return ", ".join(f"{knob} {value}" for knob, value in differ.items())
