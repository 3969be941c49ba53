"""Answers in words: golden texts of every verdict, and the same figures in both languages."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from oomph.advise.answer import Answer, answer_of
from oomph.architectures.source import read_model
from oomph.cli.output import render_plain
from oomph.config import RunConfig
from oomph.estimate.estimator import Estimator
from oomph.gpus import gpu
from oomph.views.answer import answers_table, details_text, verdicts_text

pytestmark = pytest.mark.usefixtures("_steady_speeds")

QWEN = "qwen3-30b-a3b:Q4_K_M"
CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "yes": ("qwen3-30b-a3b:F16", "RTX PRO 6000 Blackwell", {"n_ctx": 90_000, "n_expert_used": 10}),
    "yes-with": (QWEN, "RTX 4090", {"n_ctx": 90_000, "n_expert_used": 10}),
    "together": ("gpt-oss-20b:MXFP4", "RTX 3060", {"n_ctx": 65_536}),
    "probably": ("llama-3.2-3b:Q8_0", "RTX 3060", {"n_ctx": 75_520}),
    "doubtful": ("llama-3.2-3b:Q8_0", "RTX 3060", {"n_ctx": 47_104, "flash_attn": "off"}),
    "no": ("llama-3.1-8b:F16", "RTX 3060", {"n_ctx": 8192}),
    "refused": (
        "llama-3.2-1b:Q8_0",
        "RTX 3060",
        {"n_ctx": 8192, "type_v": "q8_0", "flash_attn": "off"},
    ),
    "two-cards": ("llama-3.1-8b:Q8_0", "RTX 3060", {"n_ctx": 8192, "n_devices": 2}),
    "two-too-small": ("qwen3-30b-a3b:F16", "RTX 4090", {"n_ctx": 8192, "n_devices": 2}),
    "split": (QWEN, "RTX 3060", {"n_ctx": 8192, "n_cpu_moe": 30}),
    "slots": ("glm-4.5-air:Q4_K_M", "RTX PRO 6000 Blackwell", {"n_ctx": 131_072, "n_seq_max": 4}),
    "encoder": ("bge-m3:F16", "RTX 3060", {"n_ctx": 8192, "embeddings": True, "n_ubatch": 2048}),
    "encoder-unasked": ("bge-m3:F16", "RTX 3060", {"n_ctx": 8192}),
    "pooling": (
        "bge-m3:F16",
        "RTX 3060",
        {"n_ubatch": 1000, "n_seq_max": 3, "embeddings": True, "pooling": "mean"},
    ),
    "dense": ("llama-3.1-8b:Q4_K_M", "RTX 3060", {"n_ctx": 8192, "n_expert_used": 8}),
}


def asked(case: str, **more: Any) -> Answer:
    model, card, knobs = CASES[case]
    return answer_of(Estimator(read_model(model), gpu(card)), RunConfig(**knobs | more))


@pytest.mark.parametrize("case", CASES)
def test_answers_read_as_they_did_and_both_languages_hold_the_same_figures(
    case: str, golden: Callable[[str, str], None], figures: Callable[[str], Counter[str]]
) -> None:
    found = asked(case)
    texts = {
        lang: verdicts_text([found], lang) + "\n" + details_text(found, lang)
        for lang in ("en", "ru")
    }
    for lang, text in texts.items():
        golden(f"answer-{case}.{lang}.txt", text)
        assert "None" not in text
    assert figures(texts["en"]) == figures(texts["ru"])


def test_several_numbers_of_experts_are_a_sentence_each_and_a_table() -> None:
    answers = [asked("yes", n_expert_used=n) for n in (8, 10)]
    sentences = verdicts_text(answers, "en").strip().split("\n\n")
    assert [sentence.startswith("Yes") for sentence in sentences] == [True, True, False]
    assert sentences[2].startswith("Asked as llama-cpp-python")
    assert "n_expert_used" not in sentences[2]
    rows = render_plain(answers_table(answers, "ru")).splitlines()[2:]
    assert [row.split()[:3] for row in rows] == [["8", "да", ">99"], ["10", "да", ">99"]]
    assert all("�" not in row for row in rows)
