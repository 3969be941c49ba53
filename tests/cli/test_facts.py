"""`oomph inspect` and `oomph gpus`."""

import json
from collections.abc import Callable

import pytest

Oomph = Callable[..., tuple[int, str, str]]


def test_inspect_says_architecture_experts_context_roles_and_cache(oomph: Oomph) -> None:
    code, out, _ = oomph("inspect", "qwen3-30b-a6b-16-extreme:Q4_K_M")
    assert code == 0
    assert "qwen3moe, 48 layers" in out
    assert "experts: 128 in a layer, 16 used for a token" in out
    assert "context: 131,072 tokens (native 32,768, YaRN × 4)" in out
    assert "98,304" in out  # 48 layers x (512 + 512) values of 2 bytes
    for row in ("experts", "attention", "router", "q8_0", "iq4_nl"):
        assert any(line.startswith(row) for line in out.splitlines()), row


def test_inspect_json_agrees_with_arithmetic(oomph: Oomph) -> None:
    code, out, _ = oomph("inspect", "llama-3.1-8b:Q8_0", "--json")
    assert code == 0
    facts = json.loads(out)
    assert facts["kv_cache_bytes_per_token"]["f16"] == 32 * 2 * 1024 * 2
    assert facts["kv_cache_bytes_per_token"]["q8_0"] == 32 * 2 * 1024 * 34 / 32
    assert (facts["n_expert"], facts["yarn_factor"], facts["n_ctx_native"]) == (
        0,
        None,
        facts["n_ctx_train"],
    )
    assert sum(facts["bytes_by_role"].values()) == sum(facts["bytes_by_type"].values())


def test_inspect_tells_sliding_windows_apart(oomph: Oomph) -> None:
    _, out, _ = oomph("inspect", "gpt-oss-20b:MXFP4")
    assert "sliding window: 128 tokens" in out
    f16 = next(line for line in out.splitlines() if line.startswith("f16"))
    assert f16.split()[1:] == ["49,152", "192.0", "24,576"]  # every second layer has the window


def test_gpus_lists_all_and_shows_one_with_its_sources(oomph: Oomph) -> None:
    _, everything, _ = oomph("gpus")
    assert len(everything.splitlines()) > 150
    code, one, _ = oomph("gpus", "4090")
    assert code == 0
    assert "NVIDIA GeForce RTX 4090: Ada, compute capability 8.9" in one
    assert "usable memory: 24,080 MiB" in one
    assert "source: as published for Ada, not checked card by card" in one
    _, as_json, _ = oomph("gpus", "4090", "--json")
    assert json.loads(as_json)["memory_bytes"] == 24080 << 20


@pytest.mark.parametrize(
    "args", [("gpus", "RTX 9999"), ("inspect", "nowhere.gguf"), ("inspect", "x:Q4_K_M")]
)
def test_unknown_name_is_one_sentence_and_exit_code_2(oomph: Oomph, args: tuple[str, ...]) -> None:
    code, out, err = oomph(*args)
    assert (code, out) == (2, "")
    assert err.startswith("oomph: ")
    assert err.count("\n") == 1
