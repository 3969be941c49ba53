"""llama.cpp's own --fit, asked of `estimate` and `answer`: when it is on, what is said of it."""

import json
from collections.abc import Callable
from typing import Any

import pytest

MODEL = "qwen3-0.6b:Q8_0"
Oomph = Callable[..., tuple[int, str, str]]


def estimate(oomph: Oomph, *args: str) -> dict[str, Any]:
    """The JSON line of `estimate` on a card of 3,000 MiB, where the model's context is too long."""
    code, out, err = oomph("estimate", MODEL, "--gpu-mem", "3000", *args, "--json")
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


@pytest.mark.parametrize(
    "args",
    [
        ("--fit", "on"),
        ("-fitt", "512"),
        ("-ngl", "auto"),
        ("--as", "llama-server", "--fit", "on"),
        ("--command", "llama-server -m x.gguf -fitt 1024"),
        ("--command", "llama-server -m x.gguf -ngl 20", "-ngl", "auto"),
    ],
)
def test_it_is_on(oomph: Oomph, args: tuple[str, ...]) -> None:
    found = estimate(oomph, *args)
    assert found["own_fit"]["gave_up"] is None
    assert found["own_fit"]["n_ctx"] == found["config"]["n_ctx"]
    assert 4096 <= found["config"]["n_ctx"] < 40_960
    assert found["fits"]


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("--as", "llama-server"),
        ("--command", "llama-server -m x.gguf --fit off"),
        ("--as", "ollama"),
    ],
)
def test_it_is_off(oomph: Oomph, args: tuple[str, ...]) -> None:
    assert estimate(oomph, *args)["own_fit"] is None


def test_the_target_and_the_shortest_context_count(oomph: Oomph) -> None:
    usual = estimate(oomph, "--fit", "on")["config"]["n_ctx"]
    assert estimate(oomph, "--fit", "on", "-fitt", "512")["config"]["n_ctx"] > usual
    least = estimate(oomph, "--fit", "on", "-fitc", "20k", "-fitt", "1500")
    assert least["config"]["n_ctx"] == 20_000
    assert 0 < least["config"]["n_gpu_layers"] < 29


def test_what_is_set_is_kept(oomph: Oomph) -> None:
    found = estimate(oomph, "--fit", "on", "-ngl", "99", "-c", "32K")
    assert found["config"]["n_ctx"] == 32_768
    assert "n_gpu_layers already set by user to 99" in found["own_fit"]["gave_up"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--fit", "maybe"), "--fit is 'maybe'; it takes on or off"),
        (("--fit", "on", "-fitt", "1GiB"), "--fit-target is '1GiB'; it takes MiB"),
        (("--fit", "on", "-fitt", "9" * 12), "no card has so much"),
        (("--fit", "on", "-fitc", "-1"), "--fit-ctx is '-1'; it takes tokens"),
        (("--as", "ollama", "--fit", "on"), "--fit is of llama-server and llama-cli; ollama"),
    ],
)
def test_what_cannot_be_is_one_sentence(oomph: Oomph, args: tuple[str, ...], said: str) -> None:
    code, out, err = oomph("estimate", MODEL, "--gpu-mem", "3000", *args)
    assert code == 2
    assert out == ""
    assert said in err


def test_an_older_build_has_rules_of_its_own(oomph: Oomph) -> None:
    _, out, _ = oomph("estimate", MODEL, "--gpu-mem", "3000", "--fit", "on", "--build", "8829")
    assert "build 8829 is asked as if it were off" in " ".join(out.split())


@pytest.mark.parametrize(
    ("language", "said"), [("en", "chooses n_ctx"), ("ru", "выбирает n_ctx")], ids=["en", "ru"]
)
def test_it_is_said_in_words(oomph: Oomph, language: str, said: str) -> None:
    args = ("answer", MODEL, "--gpu", "RTX 3090", "--gpu-mem", "3000", "--calibration", "none")
    _, out, _ = oomph(*args, "--fit", "on", "--lang", language)
    assert said in " ".join(out.split())


def test_it_loads_is_not_it_runs(oomph: Oomph) -> None:
    """Without flash attention the pool grows with each cell, and the margin is too small for it."""
    args = ("answer", "qwen3-30b-a3b:Q4_K_M", "--gpu", "RTX 3090", "--calibration", "none")
    _, out, _ = oomph(*args, "-fa", "off", "--fit", "on")
    text = " ".join(out.split())
    assert "chooses n_ctx 33,024 (of 40,960)" in text
    assert "It loads, but it does not run to the end" in text
    assert "has no room after about 32,256 tokens" in text
