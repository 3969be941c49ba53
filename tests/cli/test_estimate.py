"""`oomph estimate`: the JSON that other programs rely on, the tables, the refusals."""

import json
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from oomph.config import RunConfig
from oomph.estimate.prediction import DeviceMemory, InputEstimate

Oomph = Callable[..., tuple[int, str, str]]
MODEL = "llama-3.2-3b:Q4_K_M"
MOE = "qwen3-30b-a3b:Q4_K_M"


def answers(oomph: Oomph, *args: object) -> list[dict[str, Any]]:
    code, out, err = oomph("estimate", *args, "--json")
    assert code == 0, err
    return [json.loads(line) for line in out.splitlines()]


def documented(repository: Path) -> dict[str, set[str]]:
    """The keys of each table of the page, by the heading that it stands under."""
    keys: dict[str, set[str]] = {}
    heading = ""
    for line in (repository / "docs" / "estimate-json.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ").strip("`")
        elif match := re.match(r"\| `(\w+)` \|", line):
            keys.setdefault(heading, set()).add(match[1])
    return keys


def test_every_key_is_documented_and_every_documented_key_is_there(
    oomph: Oomph, repository: Path
) -> None:
    page = documented(repository)
    (line,) = answers(oomph, MODEL, "--gpu", "4090")
    assert set(line) == page["A configuration that is answered"]
    assert all(set(memory) == page["devices"] for memory in line["devices"].values())
    assert set(line["config"]) == page["config"]
    scaling = ("--rope-scaling", "yarn", "--rope-scale", "2", "--yarn-orig-ctx", "4096")
    drafts = (
        "--spec-type=ngram-mod", "--spec-draft-n-max=5", "-ctkd", "q8_0", "-ctvd", "q8_0",
        "--spec-draft-ngl=1", "--spec-draft-device=CUDA0", "--no-mmproj-offload",
        "--spec-draft-n-cpu-moe=1", "--spec-draft-override-tensor=ffn_up=CPU",
        "--image-min-tokens=10", "--image-max-tokens=20",
    )  # fmt: skip
    host = ("--n-cpu-ffn=1", "--moe-cache-mib=1", "--load-mode=none")
    others = ("--embeddings", "--pooling", "mean")
    (asked,) = answers(oomph, MODEL, *scaling, *drafts, *host, *others)
    assert set(asked["config"]) - page["config"] == page["config`, where asked for"]
    assert set(asked["inputs"]) == page["inputs"] == {f.name for f in fields(InputEstimate)}
    assert page["devices"] == {field.name for field in fields(DeviceMemory)}
    assert page["config"] | page["config`, where asked for"] == {
        field.name for field in fields(RunConfig)
    }


def test_speed_needs_a_card_and_comes_with_intervals(oomph: Oomph, repository: Path) -> None:
    (without,) = answers(oomph, MODEL)
    assert without["speed"] is None
    assert (without["fits"], without["max_context"]) == (None, None)
    (line,) = answers(oomph, MODEL, "--gpu", "4090", "--n-depth", 4096)
    speed = line["speed"]
    assert set(speed) == documented(repository)["speed"]
    for test in ("prefill", "decode"):
        low, high = speed["interval_90"][test]
        assert 0 < low < speed[f"{test}_tokens_per_s"] < high


def test_slots_are_told_alone_and_together(oomph: Oomph, repository: Path) -> None:
    asked = (MODEL, "--gpu", "4090", "-np", 4, "--n-ctx", 32768, "--n-depth", 8192)
    (line,) = answers(oomph, *asked)
    alone, slots = line["speed"], line["speed"]["slots"]
    assert set(slots) == documented(repository)["slots"]
    assert (slots["n_slots"], slots["n_depth"]) == (4, 8192)
    assert (
        alone["decode_tokens_per_s"]
        < slots["decode_tokens_per_s"]
        < 4 * alone["decode_tokens_per_s"]
    )
    _, out, _ = oomph("estimate", *asked)
    assert "decode of one slot at depth 8,192: " in out
    assert "decode of all 4 slots together, each at depth 8,192: " in out
    _, out, _ = oomph("estimate", *asked, "--n-parallel", 4)
    assert "decode of 4 sequences together at depth 8,192: " in out
    assert "decode of all" not in out


def test_what_cannot_load_has_a_reason_in_place_of_a_speed(oomph: Oomph) -> None:
    asked = ("gemma-3-27b:Q4_K_M", "--gpu", "4090", "--n-ctx", 65536, "--swa-full")
    (line,) = answers(oomph, *asked)
    assert line["speed"] is None
    _, out, _ = oomph("estimate", *asked)
    assert f"no speed: {line['speed_reason']}" in out
    assert "tokens/s" not in out
    (windows,) = answers(oomph, *asked, "--no-swa-full")
    assert windows["speed"]
    assert windows["speed_reason"] is None
    (spilled,) = answers(oomph, *asked, "--unified-memory")
    assert "spilled" in spilled["speed"]["bound_by"]


def test_a_depth_beyond_the_context_is_refused_and_its_neighbours_answered(oomph: Oomph) -> None:
    code, _, err = oomph("estimate", MODEL, "--gpu", "4090", "--n-ctx", 4096, "--n-depth", 4097)
    assert code == 2
    assert "n_depth is 4,097, but the context holds 4,096 tokens" in err
    within, beyond = answers(
        oomph, MODEL, "--gpu", "4090", "--n-ctx", 4096, "--grid", "n_depth=4096,8192"
    )
    assert within["speed"]
    assert "n_depth is 8,192" in beyond["error"]


def test_the_machine_is_told_beside_the_knobs_and_told_back(oomph: Oomph) -> None:
    card = (MODEL, "--gpu", "4090")
    told = ("--os", "windows", "--power-limit", 200, "--host-bandwidth", "DDR4-3200")
    (plain,), (line,) = answers(oomph, *card), answers(oomph, *card, *told)
    assert plain["machine"] == {
        "os": "linux",
        "power_limit_w": None,
        "host_bandwidth_gb_s": None,
        "ram_bytes": None,
        "reserve_bytes": 0,
    }
    assert line["machine"] == {
        "os": "windows",
        "power_limit_w": 200,
        "host_bandwidth_gb_s": 51.2,
        "ram_bytes": None,
        "reserve_bytes": 0,
    }
    assert line["speed"]["decode_tokens_per_s"] < plain["speed"]["decode_tokens_per_s"]
    assert line["devices"] == plain["devices"], "the machine is about speed alone"


def test_fits_is_told_from_the_cards_memory(oomph: Oomph) -> None:
    assert answers(oomph, MODEL, "--gpu", "4090")[0]["fits"] is True
    assert answers(oomph, MODEL, "--gpu-mem", 1000)[0]["fits"] is False
    assert answers(oomph, MODEL, "--gpu", "4090", "--gpu-mem", 1000)[0]["fits"] is False


def test_total_is_the_sum_over_the_cards(oomph: Oomph) -> None:
    (line,) = answers(oomph, MODEL, "--n-devices", 2, "-ts", "3,1", "-ngl", 20)
    on_cards = [line["devices"][name] for name in ("CUDA0", "CUDA1")]
    assert line["total_vram_bytes"] == sum(sum(memory.values()) for memory in on_cards)
    assert on_cards[0]["weights_bytes"] > on_cards[1]["weights_bytes"] > 0


@pytest.mark.parametrize(
    ("spelled", "knobs"),
    [
        (("-c", 8192, "-b", 1024, "-ub", 256), {"n_ctx": 8192, "n_batch": 1024, "n_ubatch": 256}),
        (
            ("--n-ctx", 512, "--n-batch", 64, "--n-ubatch", 32),
            {"n_ctx": 512, "n_batch": 64, "n_ubatch": 32},
        ),
        (
            ("-ctk", "q8_0", "-ctv", "q4_0", "-fa", "on"),
            {"type_k": "q8_0", "type_v": "q4_0", "flash_attn": "on"},
        ),
        (("-ngl", 5, "-nkvo"), {"n_gpu_layers": 5, "offload_kqv": False}),
        (("-ngl", "all"), {"n_gpu_layers": -1}),
        (("-ngl", -1), {"n_gpu_layers": -1}),
        (("-np", 4, "-kvu"), {"n_seq_max": 4, "kv_unified": True}),
        (
            ("-ot", "ffn_up=CPU", "-ot", "ffn_down=CPU"),
            {"override_tensor": "ffn_up=CPU,ffn_down=CPU"},
        ),
        (
            ("-ts", "3,1", "-sm", "layer", "--n-devices", 2),
            {"tensor_split": [3.0, 1.0], "n_devices": 2},
        ),
        (("--no-swa-full", "--n-outputs-max", 1), {"swa_full": False, "n_outputs_max": 1}),
        (("-np", 2, "--n-depth", 1000, "--n-parallel", 2), {"n_depth": 1000, "n_parallel": 2}),
    ],
)
def test_knobs_are_spelled_as_llama_cpp_spells_them(
    oomph: Oomph, spelled: tuple[object, ...], knobs: dict[str, Any]
) -> None:
    (line,) = answers(oomph, MODEL, *spelled)
    assert {knob: line["config"][knob] for knob in knobs} == knobs


def test_experts_on_the_cpu_leave_the_card(oomph: Oomph) -> None:
    (whole,) = answers(oomph, MOE)
    (half,) = answers(oomph, MOE, "-ncmoe", 24)
    assert (
        half["devices"]["CUDA0"]["weights_bytes"] < 0.6 * whole["devices"]["CUDA0"]["weights_bytes"]
    )


def test_grid_is_answered_in_order_the_first_axis_slowest(oomph: Oomph) -> None:
    lines = answers(oomph, MOE, "--grid", "n_ctx=1024,2048,n_expert_used=4,8", "-ub", 128)
    asked = [(line["config"]["n_ctx"], line["config"]["n_expert_used"]) for line in lines]
    assert asked == [(1024, 4), (1024, 8), (2048, 4), (2048, 8)]
    assert {line["config"]["n_ubatch"] for line in lines} == {128}


def test_configs_are_answered_line_by_line_over_the_command_line(
    oomph: Oomph, tmp_path: Path
) -> None:
    file = tmp_path / "configs.jsonl"
    file.write_text(
        '{"n_ctx": 1024}\n\n{"n_ctx": 2048, "type_k": "q8_0", "offload_kqv": false, '
        '"tensor_split": [3, 1]}\n'
    )
    first, second = answers(oomph, MODEL, "--configs", file, "-ub", 64)
    assert (first["config"]["n_ctx"], first["config"]["n_ubatch"]) == (1024, 64)
    assert second["config"]["type_k"] == "q8_0"
    assert (
        second["devices"]["CPU"]["kv_cache_bytes"]
        > 0
        == second["devices"]["CUDA0"]["kv_cache_bytes"]
    )


def test_what_the_model_cannot_have_keeps_its_place(oomph: Oomph, repository: Path) -> None:
    lines = answers(oomph, MOE, "--grid", "n_expert_used=8,200,4")
    assert ["error" in line for line in lines] == [False, True, False]
    assert set(lines[1]) == documented(repository)["A configuration that the model cannot have"]
    assert "128 experts" in lines[1]["error"]
    code, _, err = oomph("estimate", MOE, "--n-expert-used", 200, "--json")
    assert (code, err.count("\n")) == (2, 1)


def test_what_llama_cpp_refuses_is_a_warning(oomph: Oomph) -> None:
    (line,) = answers(oomph, MODEL, "-ctv", "q8_0", "-fa", "off")
    assert any("without flash attention" in warning for warning in line["warnings"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"n_ctx": 1}\n{"n_ctxx": 1}', r"c\.jsonl:2: unknown knob 'n_ctxx'"),
        ('{"n_ctx": "many"}', r"c\.jsonl:1: n_ctx is 'many'; it takes a whole number"),
        ('{"type_k": "q3"}', r"c\.jsonl:1: type_k is 'q3'; it must be one of"),
        ("{", r"c\.jsonl:1: no JSON"),
        ("[1]", r"c\.jsonl:1: '\[1\]' is no JSON object"),
        ("\n \n", r"c\.jsonl has no configuration"),
        ("[" * 100_000, r"c\.jsonl:1: no JSON"),
    ],
)
def test_bad_file_of_configurations_names_line_and_key(
    oomph: Oomph, tmp_path: Path, content: str, message: str
) -> None:
    file = tmp_path / "c.jsonl"
    file.write_text(content)
    code, out, err = oomph("estimate", MODEL, "--configs", file, "--json")
    assert (code, list(json.loads(out))) == (2, ["error"])
    assert re.search(message, err)
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("nowhere.gguf",), "nowhere.gguf does not exist"),
        (("llama-3.2-3b",), "say in which quantization"),
        (("llama-9-9b:Q4_K_M",), "llama-9-9b"),
        ((MODEL, "--gpu", "RTX 9999"), "no card 'RTX 9999' is known"),
        ((MODEL, "--gpu-mem", -5), "--gpu-mem is -5"),
        ((MODEL, "--configs", "none.jsonl"), "none.jsonl cannot be read"),
        ((MODEL, "--grid", "n_ctx=1,x"), "n_ctx is 'x'; it takes a whole number"),
        ((MODEL, "--grid", "1024"), "stands before any knob"),
        ((MODEL, "--grid", "n_ctx=-5"), "n_ctx is -5; it must be at least 1"),
        ((MODEL, "-c", 1 << 31), "n_ctx is 2147483648; llama.cpp counts to 2147483647"),
        ((MODEL, "--grid", "n_ctx=1", "--configs", "x"), "give one of them"),
        ((MODEL, "-ngl", "some"), "n_gpu_layers is 'some'"),
        ((MODEL, "--calibration", "none.json"), "none.json"),
        ((MODEL, "--os", "amiga"), "--os is 'amiga'; it is one of linux, windows"),
        ((MODEL, "--power-limit", 0), "--power-limit is 0"),
        ((MODEL, "--host-bandwidth", "quick"), "--host-bandwidth is 'quick'"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    oomph: Oomph, args: tuple[object, ...], message: str
) -> None:
    code, _, err = oomph("estimate", *args)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


def test_table_for_people_says_device_component_and_verdict(oomph: Oomph) -> None:
    code, out, _ = oomph("estimate", MODEL, "--gpu", "4090", "-c", 4096)
    assert code == 0
    assert re.search(r"^ +CUDA0 +CUDA_Host +CPU$", out, re.MULTILINE)
    assert re.search(r"^KV cache +448\.00 ", out, re.MULTILINE)
    assert re.search(r"^VRAM: [\d,]+ MiB, fits", out, re.MULTILINE)


def test_table_of_a_grid_has_a_row_a_configuration(oomph: Oomph) -> None:
    code, out, _ = oomph("estimate", MOE, "--grid", "n_expert_used=8,200")
    assert code == 0
    lines = out.splitlines()
    header, first, second = lines[lines.index("qwen3-30b-a3b") + 1 :][:3]
    assert header.split()[0] == "n_expert_used"
    assert first.split()[0] == "8"
    assert second.endswith("refused")
    assert "note: " in out
