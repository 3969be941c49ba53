"""Which records belong together: of one model on one machine, and of one setting there.

Stands apart because a figure that mixed settings would lie: 131,072 tokens of q8_0 cache may take
less than 76,544 of f16. A setting is every knob that is neither n_ctx nor n_expert_used, which are
the axes of a page.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from oomph.records.schema import ModelIdentity, Record


AXES: Final = frozenset({"n_ctx", "n_expert_used"})

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")
Setting = tuple[tuple[str, Any], ...]
"""The knobs that a record was run with but for AXES, in the order of their names, with their
values."""


def model_key(model: "ModelIdentity") -> str:
    """The same for records of one file; an imported row without a header is told by its name and
    its sizes."""
    return (
        model.header_sha256
        or f"{model.name} {model.file_bytes} {model.tensor_bytes} {model.n_params}"
    )


def subject(record: "Record") -> Hashable:
    """The same for records of one model on one machine with the same cards and the same build of
    llama.cpp; machines often share a name, so their processor and memory tell them apart too."""
    environment = record.environment
    cards = tuple(str(card.get("name")) for card in environment.gpus)
    host = environment.machine, environment.cpu, environment.memory_bytes
    return model_key(record.model), host, environment.backend, cards, environment.llama_cpp_commit


def by_model(records: "Iterable[Record]") -> "list[list[Record]]":
    """The records of each model, wherever they were measured."""
    return list(grouped(records, lambda record: model_key(record.model)).values())


def grouped(items: Iterable[Item], key: Callable[[Item], Key]) -> dict[Key, list[Item]]:
    """The items by their key, in the order in which the keys first appear."""
    groups: dict[Key, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def setting(record: "Record") -> Setting:
    """The record's knobs but for its axes; a knob left to the model is none."""
    knobs = sorted(record.config.items())
    return tuple(
        (knob, _plain(value)) for knob, value in knobs if knob not in AXES and value is not None
    )


def knob_set(config: Mapping[str, Any]) -> Hashable:
    """Equal for equal knobs, whatever their order."""
    return frozenset((knob, _plain(value)) for knob, value in config.items())


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


class SettingNames:
    """What tells each of several settings from the others, such as `KV q8_0, flash_attn on`."""

    def __init__(self, settings: Iterable[Setting]) -> None:
        self._n_settings, self._told = 0, Counter[tuple[str, Any]]()
        for each in settings:
            self._n_settings += 1
            self._told.update(each)

    def of(self, own: Setting) -> str:
        """The words for one of them; empty for the only one."""
        differ = {knob: value for knob, value in own if self._told[knob, value] < self._n_settings}
        if "type_k" in differ and dict(own).get("type_v") == differ["type_k"]:
            differ = {"KV": differ["type_k"]} | {
                k: v for k, v in differ.items() if k not in ("type_k", "type_v")
            }
        return ", ".join(f"{knob} {value}" for knob, value in differ.items())


def evenly(items: Sequence[Item], most: int) -> Sequence[Item]:
    """At most `most` of the items, in even steps from the first to the last."""
    if len(items) <= most:
        return items
    return [items[round(step * (len(items) - 1) / (most - 1))] for step in range(most)]
