"""Explanations: golden texts, and the same figures in both languages for models of every kind."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest

from oomph.advise.speeds import MeasuredRate
from oomph.architectures.source import read_model
from oomph.config import RunConfig
from oomph.errors import ConfigError
from oomph.estimate.estimator import Estimator
from oomph.gpus import gpu
from oomph.views.explain import TOPICS, Topic, explain_text

pytestmark = pytest.mark.usefixtures("_steady_speeds")


@cache
def topic(
    model: str = "qwen3-30b-a3b:Q4_K_M", card: str = "RTX 4090", n_ctx: int = 32_768
) -> Topic:
    return Topic(estimator=Estimator(read_model(model), gpu(card)), config=RunConfig(n_ctx=n_ctx))


@pytest.mark.parametrize("name", TOPICS)
def test_explanations_read_as_they_did(
    name: str, golden: Callable[[str, str], None], figures: Callable[[str], Counter[str]]
) -> None:
    example = replace(topic(), is_example_model=True, is_example_card=name == "oom")
    texts = {language: explain_text(name, example, language) for language in ("en", "ru")}
    for language, text in texts.items():
        golden(f"explain-{name}.{language}.txt", text)
    assert figures(texts["en"]) == figures(texts["ru"])


@pytest.mark.parametrize("name", TOPICS)
@pytest.mark.parametrize(
    ("model", "card"),
    [
        ("llama-3.2-1b:Q8_0", "RTX 3060"),
        ("mamba2-2.7b:Q8_0", "RTX 4090"),
        ("gemma-3-1b:Q8_0", "RTX 3060"),
    ],
)
def test_both_languages_hold_the_same_figures(
    name: str, model: str, card: str, figures: Callable[[str], Counter[str]]
) -> None:
    asked = topic(model, card)
    english, russian = (explain_text(name, asked, language) for language in ("en", "ru"))
    assert figures(english) == figures(russian)
    assert "None" not in english + russian


def test_a_dense_model_is_told_nothing_of_experts() -> None:
    text = explain_text("experts", topic("llama-3.2-1b:Q8_0", "RTX 3060"), "en")
    assert "dense model" in text
    assert "active experts  VRAM" not in text
    assert "every expert" not in explain_text("oom", topic("llama-3.2-1b:Q8_0", "RTX 3060"), "en")


def test_a_model_of_recurrent_layers_alone_has_neither_cache_nor_attention() -> None:
    mamba = topic("mamba2-2.7b:Q8_0")
    assert "keeps no KV cache" in explain_text("kv", mamba, "en")
    assert "-fa changes nothing" in explain_text("flash-attention", mamba, "en")
    assert "no positions" in explain_text("rope", mamba, "en")


def test_tiers_tell_what_was_measured_from_what_is_predicted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert "All of it is predicted" in explain_text("context", topic(), "en")
    seen = [
        MeasuredRate(
            test="decode", n_prompt=1, n_depth=depth, tokens_per_s=123.4, record_id=f"r{depth}"
        )
        for depth in (100, 8000, 30_000)
    ]
    monkeypatch.setattr("oomph.advise.context_tiers.measured_rates", lambda *_: seen)
    text = explain_text("context", topic(), "en")
    assert "measured up to 8,192: decode 123 tokens/s at depth 8,000 (record r8000)" in " ".join(
        text.split()
    )
    assert "measured up to 32,768: decode 123 tokens/s at depth 30,000 (record r30000)" in " ".join(
        text.split()
    )
    assert "All of it is predicted" not in text


def test_a_context_that_does_not_fit_has_no_speed() -> None:
    last = next(
        line for line in explain_text("context", topic(), "en").splitlines() if "131,072 " in line
    )
    assert last.split()[-5:] == ["—", "—", "—", "×", "4"]


def test_no_topic_lists_them_and_another_is_refused() -> None:
    assert all(f"- {name}:" in explain_text(None, topic(), "ru") for name in TOPICS)
    with pytest.raises(ConfigError, match=r"'moe'.*flash-attention"):
        explain_text("moe", topic(), "en")
