"""One list of llama.cpp's knobs serves every command that asks about a configuration."""

from dataclasses import fields
from typing import Any

import typer
from typer.testing import CliRunner

from oomph.cli.knob_options import OPTIONS, takes_knobs
from oomph.cli.named import ModelArgument
from oomph.config import RunConfig
from oomph.programs.said import Said


def said(
    *args: str, without: tuple[str, ...] = (), lists: bool = False
) -> tuple[int, dict[str, Any]]:
    seen: dict[str, Any] = {}

    def ask(model: ModelArgument, *, said: Said) -> None:
        seen.update(said.knobs, model=model)

    app = typer.Typer()
    app.command()(takes_knobs(ask, without=without, lists=lists))
    return CliRunner().invoke(app, ["m", *args]).exit_code, seen


def test_every_knob_of_a_configuration_has_an_option() -> None:
    negated = {
        "no_kv_offload": "offload_kqv",
        "no_op_offload": "op_offload",
        "no_mmproj_offload": "mmproj_offload",
    }
    assert {negated.get(name, name) for name in OPTIONS} == {
        field.name for field in fields(RunConfig)
    }


def test_only_what_was_said_is_handed_on() -> None:
    assert said() == (0, {"model": "m"})
    spelled = "-ngl all -ot a=CPU -ot b=CPU -ts 3,1 -nkvo --no-op-offload -ncmoe 0"
    code, knobs = said(*spelled.split())
    assert code == 0
    assert knobs == {
        "model": "m",
        "n_gpu_layers": -1,
        "override_tensor": "a=CPU,b=CPU",
        "tensor_split": (3.0, 1.0),
        "offload_kqv": False,
        "op_offload": False,
        "n_cpu_moe": 0,
    }
    assert said("-ngl", "0")[1]["n_gpu_layers"] == 0


def test_a_command_may_spell_a_knob_in_a_way_of_its_own() -> None:
    code, _ = said("--n-expert-used", "8", without=("n_expert_used",))
    assert code == 2


def test_a_sweep_takes_a_pasted_command_and_lists_beside_it() -> None:
    line = "llama-server -m x.gguf -c 8192 -ctk q8_0 --jinja"
    code, knobs = said("--command", line, "--n-ctx", "4k,8k", lists=True, without=("program",))
    assert code == 0
    assert knobs == {"model": "m", "n_ctx": [4000, 8000], "type_k": ["q8_0"]}
