"""Records are put together by model, machine and setting, and a setting is named by what tells it
apart."""

from collections.abc import Callable

from oomph.records.grouping import SettingNames, evenly, model_key, setting
from oomph.records.schema import ModelIdentity, Record
from oomph.records.summary import by_setting, by_subject, leading, summaries_of

Make = Callable[..., Record]


def _config(**knobs: object) -> dict[str, object]:
    return {
        "n_ctx": 512,
        "n_expert_used": 4,
        "type_k": "f16",
        "type_v": "f16",
        "flash_attn": "on",
    } | knobs


def test_a_setting_is_every_knob_but_the_axes(make_record: Make) -> None:
    one, far = (
        make_record(config=_config()),
        make_record(config=_config(n_ctx=9000, n_expert_used=8)),
    )
    other, unset = (
        make_record(config=_config(flash_attn="off")),
        make_record(config=_config(n_threads=None)),
    )
    assert setting(one) == setting(far) == setting(unset)
    assert [
        len(group) for group in by_setting(summaries_of([one, far, other, unset])).values()
    ] == [3, 1]


def test_words_name_what_differs_and_call_equal_cache_types_kv(make_record: Make) -> None:
    half = setting(make_record(config=_config()))
    small = setting(make_record(config=_config(type_k="q8_0", type_v="q8_0", flash_attn="off")))
    mixed = setting(make_record(config=_config(type_k="q8_0")))
    assert SettingNames([half]).of(half) == ""
    assert SettingNames([half, small]).of(small) == "KV q8_0, flash_attn off"
    assert SettingNames([half, mixed]).of(mixed) == "type_k q8_0"


def test_the_leading_setting_has_the_most_that_count(make_record: Make) -> None:
    on = summaries_of(make_record(n, config=_config(n_ctx=n)) for n in (1, 2))
    off = summaries_of(make_record(n, config=_config(n_ctx=n, flash_attn="off")) for n in (1, 2, 3))
    assert leading([*on, *off], lambda each: True) == off
    assert leading([*on, *off], lambda each: ("flash_attn", "on") in each.setting) == on
    assert leading([], lambda each: True) == []


def test_files_without_a_header_are_told_by_name_and_size(make_record: Make) -> None:
    def imported(name: str, tensor_bytes: int | None) -> ModelIdentity:
        return ModelIdentity(
            name=name,
            path=name,
            arch="llama",
            file_bytes=0,
            header_sha256="",
            tensor_bytes=tensor_bytes,
        )

    assert model_key(imported("a", 1)) == model_key(imported("a", 1))
    assert (
        len({model_key(imported(*pair)) for pair in (("a", 1), ("a", 2), ("b", 1), ("a", None))})
        == 4
    )
    records = [make_record(model=imported(name, 1).model_dump()) for name in ("a", "b", "a")]
    assert [len(group) for group in by_subject(summaries_of(records))] == [2, 1]


def test_other_cards_are_another_subject(make_record: Make) -> None:
    base = make_record().environment.model_dump()
    records = [
        make_record(environment=base | {"gpus": [{"name": card}]}) for card in ("A", "B", "A")
    ]
    assert [len(group) for group in by_subject(summaries_of(records))] == [2, 1]


def test_a_sample_is_in_even_steps_from_the_first_to_the_last() -> None:
    assert evenly(range(5), 5) == range(5)
    assert list(evenly(range(101), 5)) == [0, 25, 50, 75, 100]
