"""`oomph answer`, `max-context` and `explain` as a user calls them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from oomph.errors import ToolchainError

Oomph = Callable[..., tuple[int, str, str]]
MOE = "qwen3-30b-a3b:Q4_K_M"


def test_answer_says_yes_or_no_first(oomph: Oomph) -> None:
    code, out, _ = oomph(
        "answer", MOE, "--gpu", "4090", "--n-ctx", 90_000, "--n-expert-used", "9,10"
    )
    assert code == 0
    assert out.startswith("No, not as asked: qwen3-30b-a3b Q4_K_M with 9 active experts")
    assert "The nearest yes: a q8_0 KV cache." in out
    assert "with 10 active experts" in out
    assert oomph("answer", "llama-3.1-8b:Q4_K_M", "--gpu", "4090", "-c", 8192, "--lang", "ru")[
        1
    ].startswith("Да: ")


def test_answer_is_also_json_a_line_each(oomph: Oomph, repository: Path) -> None:
    folder = repository / "results/phantom/frontier-qwen3-30b-a3b/rtx-4090"
    arguments = (
        "answer",
        MOE,
        "--gpu",
        "4090",
        "-c",
        66_304,
        "--n-expert-used",
        "8,10",
        "--records",
        folder,
        "--json",
    )
    lines = [json.loads(line) for line in oomph(*arguments)[1].splitlines()]
    assert [line["n_expert_used"] for line in lines] == [8, 10]
    assert lines[0]["evidence"][0]["record_id"] == "85623b22b8d5-3d7692e8"
    assert lines[0]["memory"]["devices"]["CUDA0"]["weights_bytes"] > 0


def test_max_context_of_a_name_is_every_quantization_and_of_a_file_its_own(oomph: Oomph) -> None:
    def shown(*args: str) -> set[str]:
        asked = ("llama-3.2-1b", "--gpu", "3060", "--type-kv", "f16", "--limit", 8192)
        _, out, _ = oomph("max-context", *asked, *args)
        return {line.split()[0] for line in out.splitlines() if line}

    usual, everything = shown(), shown("--all")
    assert {"Q8_0", "Q4_K_M"} <= usual
    assert not {"F16", "IQ1_S"} & usual
    assert usual | {"F16", "IQ1_S"} <= everything
    _, out, _ = oomph("max-context", "llama-3.2-1b:Q8_0", "--gpu", "3060", "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["type_kv"] for line in lines] == ["f16", "q8_0", "q4_0"]
    assert {line["native_context"] for line in lines} == {131_072}
    _, out, _ = oomph("max-context", "llama-3.2-1b:Q8_0", "--gpu", "3060", "--lang", "ru")
    assert "сама по себе держит контекст до 131\u00a0072 токенов" in out.replace("\n", " ")


def test_explain_without_names_takes_an_example_and_says_so(
    oomph: Oomph, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_driver() -> None:
        raise ToolchainError("NVML does not answer")

    monkeypatch.setattr("oomph.measure.nvml.detect_gpus", no_driver)
    _, out, _ = oomph("explain", "batch")
    assert "an example, since neither a model nor a card was named" in " ".join(out.split())
    _, out, _ = oomph(
        "explain", "kv", "--model", "llama-3.1-8b:Q4_K_M", "--gpu", "3060", "--n-ctx", 4096
    )
    assert "example" not in out
    assert "n_ctx 4,096" in out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("answer", MOE), "no card is seen here; name one with --gpu"),
        (("answer", MOE, "--gpu", "9999"), "no card '9999' is known"),
        (("answer", MOE, "--gpu", "4090", "--n-expert-used", "8,x"), "n_expert_used is 'x'"),
        (("answer", MOE, "--gpu", "4090", "--n-expert-used", "200"), "has 128 experts"),
        (("answer", MOE, "--gpu", "4090", "--lang", "de"), "the languages are en and ru"),
        (("answer", MOE, "--gpu", "4090", "--records", "/nowhere"), "/nowhere has no records"),
        (("answer", "nowhere.gguf", "--gpu", "4090"), "nowhere.gguf"),
        (("max-context", "llama-3.2-1b", "--gpu", "3060", "--type-kv", "q9"), "type_k is 'q9'"),
        (("max-context", "llama-3.2-1b", "--n-devices", 0), "name one with --gpu"),
        (("explain", "moe", "--gpu", "4090"), "there is no explanation of 'moe'"),
        (("report", "/nowhere", "--lang", "de"), "/nowhere has no records"),
    ],
)
def test_bad_input_is_one_sentence(
    oomph: Oomph, monkeypatch: pytest.MonkeyPatch, arguments: tuple[object, ...], sentence: str
) -> None:
    def no_driver() -> None:
        raise ToolchainError("NVML does not answer")

    monkeypatch.setattr("oomph.measure.nvml.detect_gpus", no_driver)
    code, out, err = oomph(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert sentence in err


def test_the_exit_status_is_the_verdict_of_text_and_json(oomph: Oomph) -> None:
    asked = ("answer", MOE, "--gpu", "3090", "--exit-status", "-c")
    for n_ctx, status, word, verdict in ((32_768, 0, "Yes", "yes"), (90_000, 1, "No", "no")):
        code, out, _ = oomph(*asked, n_ctx)
        assert (code, out.split(maxsplit=1)[0].strip(":,")) == (status, word)
        code, out, _ = oomph(*asked, n_ctx, "--json")
        assert (code, json.loads(out)["verdict"]) == (status, verdict)
    assert oomph("answer", MOE, "--gpu", "3090", "-c", 90_000)[0] == 0


def test_no_plain_yes_for_a_card_whose_context_is_not_known(oomph: Oomph) -> None:
    asked = ("answer", "llama-3.2-1b:Q8_0", "-c", 8192, "--json", "--gpu-mem")
    (wide,) = oomph(*asked, 4096)[1].splitlines()
    needed = 4096 * 2**20 - json.loads(wide)["margin_bytes"]
    (tight,) = oomph(*asked, needed / 2**20 - 100)[1].splitlines()
    assert (json.loads(wide)["verdict"], json.loads(tight)["verdict"]) == ("yes", "probably")


def test_a_yes_that_leans_on_the_host_says_so_at_once(oomph: Oomph) -> None:
    asked = ("answer", "qwen3-235b-a22b:Q4_K_M", "--gpu", "3090", "-ncmoe", 94, "-c", 8192)
    code, out, _ = oomph(*asked, "--exit-status")
    first = " ".join(out.split("\n\n")[0].split())
    assert (code, first.split(":")[0]) == (1, "Probably")
    assert "GiB besides, and nobody said what it has" in first
    _, out, _ = oomph("answer", MOE, "--gpu", "3090", "-ncmoe", 12, "-c", 8192)
    assert "if the host has" in " ".join(out.split("\n\n")[0].split())


def test_nothing_on_the_card_is_answered_too(oomph: Oomph) -> None:
    code, out, _ = oomph("answer", "llama-3.2-1b:Q8_0", "--gpu", "4090", "-ngl", 0, "-c", 8192)
    assert code == 0
    assert "Weights 0 MiB" in " ".join(out.split())
