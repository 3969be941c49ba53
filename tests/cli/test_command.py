"""--command beside oomph's own options: on every command that asks about a configuration."""

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oomph.config import RunConfig

Oomph = Callable[..., tuple[int, str, str]]
MODEL = "qwen3-30b-a3b:Q4_K_M"
CARD = ("--gpu", "RTX 3090", "--calibration", "none")
LINE = "llama-server -m /elsewhere/m.gguf -c 16384 -ctk q8_0 -ctv q8_0 -np 2 -fa on --metrics"
SAME = ("-c", "16384", "-ctk", "q8_0", "-ctv", "q8_0", "-np", "2", "-fa", "on")
STANDS = f"{MODEL} stands for /elsewhere/m.gguf."


def first(out: str) -> dict[str, Any]:
    """The first JSON line."""
    found: dict[str, Any] = json.loads(out.splitlines()[0])
    return found


@pytest.mark.parametrize("command", ["estimate", "answer"])
def test_a_pasted_line_asks_what_its_options_ask(oomph: Oomph, command: str) -> None:
    _, pasted, _ = oomph(command, MODEL, *CARD, "--command", LINE, "--json")
    _, spelled, _ = oomph(command, MODEL, *CARD, *SAME, "--fit", "on", "--json")
    one, other = first(pasted), first(spelled)
    assert one["asked_as"].pop("remarks") == ["Changes no memory: --metrics.", STANDS]
    assert other["asked_as"].pop("remarks") == []
    assert one == other


def test_the_longest_context_takes_the_lines_cache(oomph: Oomph) -> None:
    _, pasted, _ = oomph("max-context", MODEL, *CARD, "--command", LINE, "--json")
    options = ("-np", "2", "-fa", "on", "--type-kv", "q8_0")
    _, spelled, _ = oomph("max-context", MODEL, *CARD, *options, "--json")
    one, other = first(pasted), first(spelled)
    assert "Not asked about here: n_ctx." in one["asked_as"].pop("remarks")
    del other["asked_as"]["remarks"]
    assert one == other
    assert len(pasted.splitlines()) == 1


def test_options_beside_it_win_and_the_model_may_be_its(
    oomph: Oomph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"ollama run {MODEL}"))
    _, out, _ = oomph("estimate", *CARD, "--command", "-", "-c", "8192", "--json")
    found = first(out)
    assert (found["asked_as"]["program"], found["config"]["n_ctx"]) == ("ollama", 8192)
    assert found["model"] == "qwen3-30b-a3b"
    line = f"llama-server -m {MODEL} -c 4096 --override-kv qwen3moe.expert_used_count=int:10"
    _, out, _ = oomph("answer", *CARD, "--command", line, "--as", "llama-cli", "--json")
    found = first(out)
    assert (found["asked_as"]["program"], found["config"]["n_seq_max"]) == ("llama-cli", 1)
    assert found["config"]["n_expert_used"] == 10


def test_what_is_not_in_the_figures_is_printed_with_them(oomph: Oomph) -> None:
    line = f"{LINE} --mmproj p.gguf --foo 1"
    for command in ("estimate", "answer", "max-context"):
        code, out, _ = oomph(command, MODEL, *CARD, "--command", line)
        assert code == 0
        assert "Not in the figures: --mmproj p.gguf (it is not here" in out
        assert "Not known, and left out: --foo 1." in out
        assert STANDS in out
    _, out, _ = oomph("explain", "kv", "--model", MODEL, *CARD, "--command", line)
    assert "Not in the figures: --mmproj p.gguf" in out


def test_the_published_projector_stands_for_one_that_is_not_here(oomph: Oomph) -> None:
    line = (
        "llama-server -hf u/Qwen3.6-27B-MTP-GGUF:UD-Q4_K_XL -c 65536 --parallel 1 -ctk q8_0 "
        "-ctv q8_0 --spec-type draft-mtp --spec-draft-n-max 2 --mmproj mmproj-F16.gguf"
    )
    asked = ("estimate", "qwen3.6-27b-mtp:Q4_K_M", *CARD, "--command", line, "--fit", "off")
    code, out, _ = oomph(*asked, "--json")
    assert code == 0
    assert {"target", "mtp", "projector"} <= set(first(out)["contexts"])


def test_what_is_not_in_the_figures_takes_the_plain_yes_away(oomph: Oomph) -> None:
    asked = ("answer", MODEL, *CARD, "--command")
    assert oomph(*asked, LINE, "--json")[1].count('"verdict": "yes"') == 1
    code, out, _ = oomph(*asked, f"{LINE} --mmproj p.gguf", "--exit-status")
    assert (code, out.split(":")[0]) == (1, "Probably")
    assert "not all that was asked is in the figures" in " ".join(out.split())


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "name a model: a GGUF file"),
        (("--command", "-c 4096"), "name a model: a GGUF file"),
        (("--command", LINE), "the model /elsewhere/m.gguf is not here; name the model"),
        ((MODEL, "--command", "llama-server -c many"), "n_ctx is 'many'"),
        ((MODEL, "--command", ""), "--command is empty"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(
    oomph: Oomph, args: tuple[str, ...], message: str
) -> None:
    code, out, err = oomph("estimate", *args, *CARD)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_launch_writes_the_lines_configuration_for_its_path(oomph: Oomph, tmp_path: Path) -> None:
    line = f"{LINE} -ub 512 --lora a.gguf"
    code, _, err = oomph("launch", MODEL, *CARD, "--command", line, "--out", tmp_path)
    assert code == 0
    assert "Not in the figures: --lora a.gguf" in err
    script = (tmp_path / "llama-server.sh").read_text()
    _, again, _ = oomph("estimate", MODEL, *CARD, "--command", script, "--json")
    _, asked, _ = oomph("estimate", MODEL, *CARD, *SAME, "-ub", "512", "--json")
    assert first(again)["config"] == first(asked)["config"]
    assert "--model /elsewhere/m.gguf" in script


def test_the_page_begins_with_it(oomph: Oomph, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    oomph("what-if", MODEL, *CARD, "--command", LINE, "--out", page)
    start = re.findall(r'"start": ?(\{.*?\})', page.read_text(encoding="utf-8"))[0]
    config = RunConfig.from_mapping(json.loads(start))
    assert (config.n_ctx, config.type_k, config.n_seq_max) == (16_384, "q8_0", 2)


LOG = """\
llama_context: n_seq_max     = 1
llama_context: n_ctx         = 98304
ggml_backend_cuda_buffer_type_alloc_buffer: allocating 4992.00 MiB on device 0: cudaMalloc failed: \
out of memory
alloc_tensor_range: failed to allocate CUDA0 buffer of size 5234491392
llama_init_from_model: failed to initialize the context: failed to allocate buffer for kv cache
"""


def test_a_remedy_is_of_the_command_that_failed(oomph: Oomph, tmp_path: Path) -> None:
    """The log tells n_ctx, the command that experts stay on the host."""
    log = tmp_path / "run.log"
    log.write_text(LOG)
    line = f"llama-server -m {MODEL} -c 65536 -np 1 -ngl 99 -ctk f16"
    code, out, _ = oomph("classify", log, "--gpu", "RTX 4060", "--command", f"{line} -ncmoe 40")
    assert code == 0
    found = re.search(r"in the command: --ctx-size (\d+) for 65536", out)
    assert found is not None
    assert 0 < int(found[1]) < 65_536
    assert f"n_ctx {int(found[1]):,}" in out
