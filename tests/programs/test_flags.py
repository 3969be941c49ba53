"""The table of llama-server's flags against its own --help, and what each class promises."""

import importlib.machinery
import importlib.util
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from oomph.config import keys_of
from oomph.programs.flags import by_spelling, by_variable, flags, knob_names

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "harness" / "oomph" / "programs" / "flags.toml"
ELSEWHERE = {"fit", "device"}
"""Keys that launch files say and no knob of their own stands for."""


@pytest.fixture(scope="module")
def script() -> Any:
    """scripts/llama-flags as a module."""
    loader = importlib.machinery.SourceFileLoader("llama_flags", str(ROOT / "scripts/llama-flags"))
    spec = importlib.util.spec_from_loader("llama_flags", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_each_spelling_is_one_flags() -> None:
    spelled = [each for flag in flags() for each in (*flag.spellings, *flag.negative)]
    assert len(spelled) == len(set(spelled))
    assert by_variable()["LLAMA_ARG_CTX_SIZE"][0].name == "ctx-size"
    assert by_variable()["LLAMA_ARG_NO_KV_OFFLOAD"] == by_spelling()["-nkvo"]


def test_what_takes_memory_says_what_it_takes() -> None:
    for flag in flags():
        assert bool(flag.effect) == (flag.kind in ("memory", "gone")) or flag.kind == "other", flag
        assert flag.name not in knob_names() or flag.kind in ("knob", "other"), flag


def test_every_knob_of_llama_server_is_a_flag() -> None:
    assert set(knob_names().values()) == set(keys_of("llama-server"))
    assert {flag.name for flag in flags() if flag.kind == "knob"} <= set(knob_names())


def test_help_is_read_by_its_columns(script: Any) -> None:
    text = (
        "-kvo,  --kv-offload, -nkvo, --no-kv-offload\n"
        "                                        whether to offload (default: enabled)\n"
        "                                        (env: LLAMA_ARG_KV_OFFLOAD)\n"
        "--control-vector-layer-range START END\n"
        "                                        layers, such as --this 1 2\n"
        "--no-host                               bypass\n"
    )
    assert script.read_help(text) == {
        "kv-offload": {
            "spellings": ["-kvo", "--kv-offload"],
            "negative": ["-nkvo", "--no-kv-offload"],
            "env": "LLAMA_ARG_KV_OFFLOAD",
        },
        "control-vector-layer-range": {
            "spellings": ["--control-vector-layer-range"],
            "value": "START END",
        },
        "no-host": {"spellings": ["--no-host"]},
    }


@pytest.mark.llama
def test_no_flag_of_the_real_server_is_new(script: Any, llama_server: Path) -> None:
    """Where this fails, scripts/llama-flags writes the table, and a class is given by hand."""
    done = subprocess.run([llama_server, "--help"], capture_output=True, text=True, check=True)
    table = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    sections = script.classed(script.read_help(done.stdout), table)
    assert not sections.pop("new")
    assert sections == table
