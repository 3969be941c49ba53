"""Answers in words where something is not known: every verdict with every field that may be
missing, missing."""

import json
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any, get_args, get_type_hints

import pytest
from typer.testing import CliRunner

from oomph.advise.answer import Answer, answer_of
from oomph.advise.evidence import Evidence
from oomph.advise.speeds import MeasuredRate
from oomph.advise.verdict import Verdict
from oomph.architectures.source import read_model
from oomph.cli.app import app
from oomph.cli.output import render_plain
from oomph.config import RunConfig
from oomph.estimate.estimator import Estimator
from oomph.gpus import gpu
from oomph.units import MIB
from oomph.views.answer import answer_json, answers_table, details_text, verdicts_text

LANGUAGES = ("en", "ru")
EVIDENCE = Evidence(
    record_id="r",
    says="runs_out",
    is_same=True,
    outcome="oom_kv",
    backend="cuda",
    machine="m",
    n_ctx=8192,
    n_filled=4096,
    vram_bytes=5 * MIB,
)
RATE = MeasuredRate(test="decode", n_prompt=0, n_depth=512, tokens_per_s=20.0, record_id="r")
REFUSALS = ("experts", "quantized_v", "latent_types", "split_mode", None)


@cache
def complete() -> Answer:
    """An answer in which everything is known: RoPE scaling, speeds, offers with their shares,
    evidence, a next step."""
    estimator = Estimator(read_model("qwen3-30b-a3b:Q4_K_M"), gpu("RTX 4090"))
    found = answer_of(estimator, RunConfig(n_ctx=90_000, n_expert_used=10), calibration="kept")
    speeds = next(offer.speeds for offer in found.offers if offer.speeds)
    evidence = tuple(replace(EVIDENCE, says=says) for says in ("runs_out", "runs", "loads"))
    return replace(
        found,
        speeds=speeds,
        evidence=evidence,
        measured=(RATE,),
        next_command="oomph frontier MODEL.gguf",
    )


def optional(value: Any) -> list[str]:
    """The fields of a dataclass that may be None."""
    hints = get_type_hints(type(value))
    return [field.name for field in fields(value) if type(None) in get_args(hints[field.name])]


def without(value: Any) -> Iterator[tuple[str, Any]]:
    """The value with each optional field missing, wherever it is in it, one at a time; with where
    that is."""
    for name in optional(value):
        yield name, replace(value, **{name: None})
    for field in fields(value):
        part = getattr(value, field.name)
        if is_dataclass(part):
            yield from (
                (f"{field.name}.{at}", replace(value, **{field.name: less}))
                for at, less in without(part)
            )
        elif isinstance(part, tuple) and part and is_dataclass(part[0]):
            yield f"no {field.name}", replace(value, **{field.name: ()})
            for at, less in without(part[0]):
                yield f"{field.name}.{at}", replace(value, **{field.name: (less, *part[1:])})


def render(found: Answer, language: str) -> str:
    json.dumps(answer_json(found))
    table = render_plain(answers_table([found, found], language))
    return "\n".join((verdicts_text([found], language), details_text(found, language), table))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("verdict", get_args(Verdict))
def test_every_verdict_is_said_with_any_field_missing(verdict: Verdict, language: str) -> None:
    whole = replace(complete(), verdict=verdict)
    cases = [("nothing", whole), ("everything", replace(whole, **dict.fromkeys(optional(whole))))]
    cases += [
        (f"all but {kept}", replace(cases[1][1], **{kept: getattr(whole, kept)}))
        for kept in optional(whole)
    ]
    cases += [(f"refusal {refusal}", replace(whole, refusal=refusal)) for refusal in REFUSALS]
    cases += [
        (f"refusal {refusal}, experts", replace(whole, refusal=refusal, n_expert_used=None))
        for refusal in REFUSALS
    ]
    cases += list(without(whole))
    assert {
        "probability",
        "max_context",
        "first_failure.n_filled",
        "offers.decode_share",
        "offers.speeds",
        "card",
    } <= {where for where, _ in cases}
    for where, found in cases:
        try:
            text = render(found, language)
        except TypeError as error:
            raise AssertionError(f"{verdict} without {where}: {error}") from error
        assert "None" not in text, f"{verdict} without {where}"


@pytest.mark.parametrize(
    ("model", "memory_mib"),
    [("qwen3-30b-a3b:Q4_K_M", 1000), ("llama-3.2-3b:Q8_0", 5000), ("llama-3.1-8b:Q8_0", 100_000)],
)
def test_a_card_of_which_only_the_memory_is_known_gets_an_answer(
    model: str, memory_mib: int
) -> None:
    estimator = Estimator(read_model(model), gpu_memory_bytes=memory_mib * MIB)
    found = answer_of(estimator, RunConfig(n_ctx=32_768))
    for language in LANGUAGES:
        assert "None" not in render(found, language)


def test_the_command_says_what_would_do_on_a_card_without_a_name() -> None:
    done = CliRunner().invoke(
        app, ["answer", "qwen3-30b-a3b:Q4_K_M", "--gpu-mem", "19000", "--lang", "ru"]
    )
    assert done.exception is None
    assert "не хватает 3,06 ГиБ" in done.stdout.replace("\u00a0", " ")


@pytest.mark.parametrize("language", LANGUAGES)
def test_of_a_card_without_a_name_each_sentence_stands_alone(language: str) -> None:
    found = answer_of(
        Estimator(read_model("qwen3-0.6b:Q8_0"), gpu_memory_bytes=8 << 30), RunConfig(n_ctx=4096)
    )
    text = " ".join(details_text(found, language).split())
    assert not re.findall(r"[a-zа-я][.:][A-ZА-Я]", text)
