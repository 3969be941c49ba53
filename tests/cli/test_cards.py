"""Several cards on the command line: one list in every command, each card against its own."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from oomph.gpus import gpu

Oomph = Callable[..., tuple[int, str, str]]
DENSE, MOE = "qwen3-8b:Q4_K_M", "qwen3-30b-a3b:Q4_K_M"
BIG = ("qwen3.6-27b:Q8_0", "-c", 131_072, "-ctk", "q4_0", "-ctv", "q4_0", "-np", 1)
EXPERTS = ("qwen3.5-122b-a10b:Q4_K_M", "-c", 65_536, "-ub", 2048, "-ncmoe", 24)


def answer(oomph: Oomph, *words: Any) -> dict[str, Any]:
    code, out, err = oomph(*words, "--json")
    assert code == 0, err
    found: dict[str, Any] = json.loads(out.splitlines()[0])
    return found


def test_two_unlike_cards_are_both_used(oomph: Oomph) -> None:
    """What ran with `-ts 26,6` at 38.1 tokens/s was "does not fit" while the second card replaced
    the first."""
    named = ("--gpu", "RTX 5090", "--gpu", "RTX 3080", "-ts", "26,6")
    found = answer(oomph, "answer", *BIG, *named)
    assert found["verdict"] == "yes"
    low, high = found["speeds"]["empty"]["decode_interval_90"]
    assert low < 38.1 < high
    assert [card["name"] for card in found["cards"]] == [
        "NVIDIA GeForce RTX 5090",
        "NVIDIA GeForce RTX 3080",
    ]
    assert found["margin_bytes"] == min(card["margin_bytes"] for card in found["cards"])


@pytest.mark.parametrize("named", ["3090,3090", "2x3090", "3090 x2"])
def test_two_of_a_kind_are_two(named: str, oomph: Oomph) -> None:
    asked = ("estimate", MOE, "-c", 8192)
    found = answer(oomph, *asked, "--gpu", named)
    assert found == answer(oomph, *asked, "--gpu", "3090", "--n-devices", 2) | {
        "asked_as": found["asked_as"]
    }
    assert [card["device"] for card in found["cards"]] == ["CUDA0", "CUDA1"]


def test_experts_on_the_host_are_divided_by_bytes(oomph: Oomph) -> None:
    """The split that fits comes before fewer experts, other weights and other cards."""
    found = answer(oomph, "answer", *EXPERTS, "--gpu", "2x3090")
    first, *others = found["offers"]
    assert (found["verdict"], first["kind"]) == ("no", "tensor_split")
    shares = [float(share) for share in first["value"].split(",")]
    assert (len(shares), sum(shares)) == (2, 49)
    assert first["margin_bytes"] > 0
    assert {"cards", "card"} <= {other["kind"] for other in others}
    again = answer(oomph, "answer", *EXPERTS, "--gpu", "2x3090", "-ts", first["value"])
    assert (again["verdict"], again["margin_bytes"]) == ("probably", first["margin_bytes"])


def test_launch_leaves_no_card_empty(oomph: Oomph, tmp_path: Path) -> None:
    """It left 20 of 24 GiB empty, and 34 layers' experts on the host."""
    asked = (*EXPERTS[:3], "--n-ubatch", 2048, "--gpu", "2x3090", "--out", tmp_path)
    code, _, err = oomph("launch", *asked)
    script = (tmp_path / "llama-server.sh").read_text()
    assert code == 0, err
    flags = dict(
        line.strip().rstrip("\\").split()[:2]
        for line in script.splitlines()
        if "--" in line and line.startswith("    --") and len(line.split()) > 2
    )
    on_host = flags.get("--n-cpu-moe", "0")  # experts may be left by their layers alone
    assert int(on_host) < 24
    overrides = flags.get("--override-tensor", "").strip("'")
    found = answer(
        oomph, "estimate", *EXPERTS[:3], "--n-ubatch", 2048, "-np", 1, "--gpu", "2x3090",
        "-ncmoe", on_host, "-ts", flags["--tensor-split"],
        *(("-ot", overrides) if overrides else ()),
    )  # fmt: skip
    assert all(0 < card["margin_bytes"] < 2 * 2**30 for card in found["cards"])


def test_devices_are_taken_by_name_and_order(oomph: Oomph) -> None:
    asked = ("estimate", DENSE, "-c", 8192, "--gpu", "5090,3080,3090")
    one = answer(oomph, *asked, "-dev", "CUDA1")
    alone = answer(oomph, "estimate", DENSE, "-c", 8192, "--gpu", "3080")
    assert one["devices"]["CUDA1"] == alone["devices"]["CUDA0"]
    assert one["speed"] == alone["speed"]
    two = answer(oomph, *asked, "-dev", "CUDA2,CUDA0", "-ts", "3,1")
    assert [card["device"] for card in two["cards"]] == ["CUDA2", "CUDA0"]
    assert two["devices"]["CUDA2"]["weights_bytes"] > two["devices"]["CUDA0"]["weights_bytes"]
    command = "llama-server -m x.gguf -dev CUDA1 -c 8192"
    pasted = answer(oomph, "estimate", DENSE, "--gpu", "5090,3080,3090", "--command", command)
    assert pasted["devices"] == one["devices"]


def test_one_card_of_several_takes_it_all_without_a_split(oomph: Oomph) -> None:
    asked = ("estimate", DENSE, "-c", 8192, "--gpu", "5090,3080", "-sm", "none", "-mg", 1)
    found = answer(oomph, *asked)
    assert [card["device"] for card in found["cards"]] == ["CUDA1"]
    alone = answer(oomph, "estimate", DENSE, "-c", 8192, "--gpu", "3080")
    assert (found["speed"], found["max_context"]) == (alone["speed"], alone["max_context"])


def test_cards_of_which_only_the_memory_is_known_have_no_speed(oomph: Oomph) -> None:
    found = answer(oomph, "estimate", DENSE, "-c", 8192, "--gpu-mem", "24GiB,16GiB")
    assert [card["memory_bytes"] >> 30 for card in found["cards"]] == [24, 16]
    assert all(found["devices"][d]["overhead_bytes"] == 640 << 20 for d in ("CUDA0", "CUDA1"))
    assert (found["speed"], found["fits"]) == (None, True)
    assert "name a GPU" in found["speed_reason"]


@pytest.mark.parametrize("command", ["estimate", "answer", "max-context", "explain", "launch"])
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--gpu", "5090,3080", "-ts", "1,1,1"), "tensor_split has 3 shares, and there are 2"),
        (("--gpu", "5090,3080", "-ts", "0,0"), "gives no card a layer"),
        (("--gpu", "5090,3080", "-ts=-1,2"), "it takes up to 16 shares from 0"),
        (("--gpu", "5090,3080", "-ts", "nan,1"), "it takes up to 16 shares from 0"),
        (("--gpu", "5090,3080", "--n-devices", 3), "n_devices is 3, and 2 cards are named"),
        (("--gpu", "5090,3080", "-dev", "CUDA4"), "--device names CUDA4; the cards are CUDA0"),
        (("--gpu", "5090,3080", "-dev", "GPU0"), "--device is 'GPU0'"),
        (("--gpu", "5090,3080", "-sm", "tensors"), "it must be one of none, layer, row, tensor"),
        (("--gpu", "5090,3080", "-sm", "none", "-mg", 2), "main_gpu is 2, and there are 2 cards"),
        (("--gpu", "0x3090"), "is 0 cards"),
        (("--gpu", "65x3090"), "is 65 cards; llama.cpp takes 1 to 16"),
        (("--gpu", "3090", "--gpu", "a card of mine"), "no card 'a card of mine' is known"),
        (("--gpu-mem", "24GiB,16"), None),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_sentence(
    command: str, words: tuple[Any, ...], message: str | None, oomph: Oomph, tmp_path: Path
) -> None:
    model = ("kv", "--model", DENSE) if command == "explain" else (DENSE,)
    context = () if command == "max-context" else ("-c", 8192)
    out = ("--out", tmp_path) if command == "launch" else ()
    code, _, err = oomph(command, *model, *context, *words, *out)
    if message is None:  # 16 MiB hold nothing, and that is an answer
        assert code == 0 or err.count("\n") == 1
    else:
        assert (code, err.count("\n")) == (2, 1)
        assert message in err


def test_a_log_of_two_cards_is_advised_for_both(oomph: Oomph, tmp_path: Path) -> None:
    log = tmp_path / "log"
    lines = [
        *(
            f"llama_model_load_from_file_impl: using device CUDA{i} (NVIDIA GeForce RTX 3090) "
            f"(0000:0{i}:00.0) - 23991 MiB free"
            for i in (0, 1)
        ),
        "load_tensors: offloaded 81/81 layers to GPU",
        "llama_context: n_ctx         = 32768",
        "llama_context: n_ubatch      = 512",
        "llama_kv_cache:      CUDA0 KV buffer size =  5248.00 MiB",
        "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 4992.00 MiB on device 1: "
        "cudaMalloc failed: out of memory",
        "alloc_tensor_range: failed to allocate CUDA1 buffer of size 5234491392",
        "llama_init_from_model: failed to initialize the context: failed to allocate buffer for "
        "kv cache",
    ]
    log.write_text("\n".join(lines))
    for named in ((), ("--gpu", "3090"), ("--gpu", "2x3090")):
        code, out, err = oomph("classify", log, "--model", "llama-3.3-70b:Q4_K_M", *named)
        assert (code, "n_ctx 2" in out, "n_gpu_layers 37" in out) == (0, True, False), (out, err)


def test_the_machines_own_cards_are_all_asked(
    oomph: Oomph, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two alike that report a few MiB unlike, and one of another kind."""
    sizes = (("RTX 3090", 24_100), ("RTX 3090", 24_090), ("RTX 3080", 9_800))
    own = tuple(replace(gpu(name), memory_bytes=mib << 20) for name, mib in sizes)
    monkeypatch.setattr("oomph.measure.nvml.detect_gpus", lambda: own)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    asked = ("answer", DENSE, "-c", 8192)
    found = answer(oomph, *asked)
    assert [card["memory_bytes"] >> 20 for card in found["cards"]] == [24_100, 24_090, 9_800]
    named = ("--gpu", "3090:24100", "--gpu", "3090:24090", "--gpu", "3080:9800")
    again = answer(oomph, *asked, *named)
    assert (found["memory"], found["speeds"]) == (again["memory"], again["speeds"])
    (one,) = answer(oomph, *asked, "-dev", "CUDA2")["cards"]
    assert (one["device"], one["memory_bytes"] >> 20) == ("CUDA2", 9_800)
