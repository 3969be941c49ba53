"""Launch files as text: the agreed ones, and every program's own reader over names that try to
break out."""

import ast
import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oomph.advise.launch_plan import Launch
from oomph.config import KINDS, KNOBS, RunConfig
from oomph.errors import ConfigError
from oomph.programs.spelling import NoSpellingError
from oomph.views.launch.files import launch_files
from oomph.views.launch.server import render_preset, render_script, server_flags
from oomph.views.launch.textgen import render_cmd_flags

Make = Callable[..., Launch]
GOLDEN = Path(__file__).parents[2] / "golden" / "launch"
HOSTILE = "/models/$(touch x) `id` 'q\" \\ &&; é.gguf"
PATHS = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z")) | st.just(" "),
    min_size=1,
    max_size=30,
)


@pytest.fixture(scope="module")
def dense(launches: dict[str, Launch]) -> Launch:
    return launches["dense"]


def argv(script: str, tmp_path: Path, *arguments: str) -> list[str]:
    """What the script would run, as bash reads it: `printf` stands for the server."""
    path = tmp_path / "script.sh"
    path.write_text(script)
    printer = tmp_path / "print"
    printer.write_text('#!/bin/sh\nprintf "%s\\0" "$@"\n')
    printer.chmod(0o755)
    programs = {"LLAMA_SERVER": str(printer), "KOBOLDCPP": str(printer), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        ["bash", path, *arguments], env=programs, cwd=tmp_path, capture_output=True, check=True
    )
    return done.stdout.decode().split("\0")[:-1]


def values(words: list[str]) -> dict[str, str]:
    """Each flag with the word after it."""
    return {
        flag: value
        for flag, value in zip(words, [*words[1:], ""], strict=True)
        if flag.startswith("--")
    }


@pytest.mark.parametrize("name", ["dense", "mixture-yarn", "partial-offload"])
def test_every_file_is_the_one_that_was_agreed(launches: dict[str, Launch], name: str) -> None:
    agreed = {
        str(path.relative_to(GOLDEN / name)): path
        for path in (GOLDEN / name).rglob("*")
        if path.is_file()
    }
    files = launch_files(launches[name])
    if os.environ.get("WRITE_GOLDEN"):
        for path, text in files.texts.items():
            agreed[path].write_text(text, encoding="utf-8")
    assert set(files.texts) == set(agreed)
    assert {
        name: text == agreed[name].read_text(encoding="utf-8") for name, text in files.texts.items()
    } == dict.fromkeys(agreed, True)


def test_the_mixture_is_stretched_from_its_makers_context_and_the_dense_model_not_at_all(
    launches: dict[str, Launch],
) -> None:
    flags = server_flags(launches["mixture-yarn"])
    assert (flags["rope-scaling"], flags["rope-scale"], flags["yarn-orig-ctx"]) == (
        "yarn",
        "2.75",
        "32768",
    )
    assert flags["override-kv"] == "qwen3moe.expert_used_count=int:10"
    assert not {"rope-scaling", "override-kv", "n-cpu-moe"} & server_flags(launches["dense"]).keys()
    assert int(server_flags(launches["partial-offload"])["n-cpu-moe"] or 0) > 0


@pytest.mark.parametrize("file", ["llama-server.sh", "koboldcpp.sh"])
def test_a_hostile_name_reaches_the_program_as_it_is_and_runs_nothing(
    dense: Launch, tmp_path: Path, file: str
) -> None:
    text = launch_files(replace(dense, model_path=HOSTILE)).texts[file]
    words = argv(text, tmp_path, "--port", "1")
    assert words[words.index("--model") + 1] == HOSTILE
    assert words[-2:] == ["--port", "1"]
    assert not (tmp_path / "x").exists()


@settings(max_examples=40)
@given(path=PATHS)
def test_every_reader_gives_the_path_back(launches: dict[str, Launch], path: str) -> None:
    launch = replace(launches["dense"], model_path=str(Path(f"/m/{path}x")))
    files = launch_files(launch)
    script = files.texts["llama-server.sh"].partition("exec ")[2].replace("\\\n", " ")
    assert shlex.split(script)[2] == launch.model_path
    flags = [
        line
        for line in files.texts["text-generation-webui/CMD_FLAGS.txt"].splitlines()
        if line[0] != "#"
    ]
    asked = values(shlex.split(" ".join(flags)))
    assert f"{asked['--model-dir']}/{asked['--model']}" == launch.model_path
    assert f"FROM {launch.model_path}\n" in files.texts["Modelfile"]
    calls = [
        node
        for node in ast.walk(ast.parse(files.texts["llama_cpp_python.py"]))
        if isinstance(node, ast.keyword)
    ]
    assert (
        next(ast.literal_eval(call.value) for call in calls if call.arg == "model_path")
        == launch.model_path
    )
    if "models.ini" in files.texts:
        assert f"\nmodel = {launch.model_path}\n" in files.texts["models.ini"]
    else:
        assert set(path) & set("#;")


@pytest.mark.parametrize(
    "path", ["/m/a\nb.gguf", "/m/a\rb.gguf", "/m/a\u2028b.gguf", "/m/\udcff.gguf", ""]
)
def test_a_path_that_breaks_lines_is_refused(dense: Launch, path: str) -> None:
    with pytest.raises(ConfigError, match="rename the model"):
        launch_files(replace(dense, model_path=path))


def test_a_name_in_the_file_cannot_leave_its_comment(dense: Launch, tmp_path: Path) -> None:
    spec = replace(dense.spec, name="evil\ntouch x\n[section]\n```")
    files = launch_files(replace(dense, spec=spec))
    for file, text in files.texts.items():
        assert "\ntouch x" not in text, file
    assert "[evil-touch-x-section]" in files.texts["models.ini"]
    argv(files.texts["llama-server.sh"], tmp_path)
    assert files.texts["NOTES.md"].count("```") == 2


def test_an_architecture_that_is_none_is_refused(make_launch: Make) -> None:
    launch = make_launch("qwen3-30b-a3b:Q4_K_M", n_ctx=4096, n_expert_used=10)
    with pytest.raises(ConfigError, match="no architecture"):
        launch_files(replace(launch, spec=replace(launch.spec, arch="a=int:1,b")))


@pytest.mark.parametrize("path", ["/m/a;b.gguf", "/m/a #b.gguf", "/m/a.gguf "])
def test_what_llama_cpps_preset_parser_cuts_is_not_written(dense: Launch, path: str) -> None:
    with pytest.raises(NoSpellingError, match="cuts model"):
        render_preset(replace(dense, model_path=path))


def test_each_program_says_what_it_has_no_word_for(make_launch: Make) -> None:
    files = launch_files(
        make_launch(
            "qwen3-30b-a3b:Q4_K_M",
            n_ctx=8192,
            n_cpu_moe=4,
            type_k="q8_0",
            type_v="q4_0",
            n_seq_max=2,
            n_expert_used=10,
        )
    )
    assert set(files.left_out) == {
        "koboldcpp.sh",
        "Modelfile",
        "llama_cpp_python.py",
        "config.rope_scaling.json",
    }
    assert "the 10 active experts" in files.left_out["Modelfile"]
    assert "experts on the CPU" in files.left_out["Modelfile"]
    for file, why in files.left_out.items():
        assert f"`{file}` is left out: {why}" in files.texts["NOTES.md"]


def test_text_generation_webui_hands_on_what_it_has_no_flag_for(make_launch: Make) -> None:
    launch = make_launch(
        "qwen3-30b-a3b:Q4_K_M",
        "RTX PRO 6000 Blackwell",
        n_ctx=90_000,
        n_expert_used=10,
        n_cpu_moe=3,
        type_k="q8_0",
        type_v="q5_1",
        main_gpu=1,
        split_mode="none",
        n_devices=2,
        n_ubatch=512,
    )
    lines = [line for line in render_cmd_flags(launch).splitlines() if line[0] != "#"]
    asked = values(shlex.split(" ".join(lines)))
    assert asked["--gpu-layers"] == "49"
    assert asked["--split-mode"] == "none"
    extra = values(shlex.split(asked["--extra-flags"]))
    assert extra == {
        "--cache-type-k": "q8_0",
        "--cache-type-v": "q5_1",
        "--cache-ram": "8192",
        "--ctx-checkpoints": "32",
        "--n-cpu-moe": "3",
        "--main-gpu": "1",
        "--rope-scaling": "yarn",
        "--rope-scale": "2.75",
        "--yarn-orig-ctx": "32768",
        "--override-kv": "qwen3moe.expert_used_count=int:10",
    }


def test_cards_that_share_are_named_in_every_program(make_launch: Make, tmp_path: Path) -> None:
    launch = make_launch(
        "qwen3-30b-a3b:Q4_K_M",
        "RTX 4090",
        n_ctx=32_768,
        n_devices=2,
        tensor_split=(3.0, 1.0),
        main_gpu=1,
    )
    files = launch_files(launch)
    words = values(argv(files.texts["llama-server.sh"], tmp_path))
    assert (words["--tensor-split"], words["--main-gpu"]) == ("3,1", "1")
    assert "--tensor_split 3 1 \\" in files.texts["koboldcpp.sh"]
    assert "--tensor-split 3,1" in files.texts["text-generation-webui/CMD_FLAGS.txt"]
    assert "tensor_split=[3.0, 1.0]" in files.texts["llama_cpp_python.py"]
    assert "how the cards share" in files.left_out["Modelfile"]


def test_the_patch_of_config_json_is_what_transformers_takes(launches: dict[str, Launch]) -> None:
    patch = json.loads(launch_files(launches["mixture-yarn"]).texts["config.rope_scaling.json"])
    assert patch == {
        "rope_scaling": {
            "rope_type": "yarn",
            "factor": 2.75,
            "original_max_position_embeddings": 32768,
        },
        "max_position_embeddings": 90112,
    }


def test_flags_of_the_script_are_those_of_llama_server(
    launches: dict[str, Launch], llama_server: Path
) -> None:
    told = subprocess.run([llama_server, "--help"], capture_output=True, text=True, check=False)
    known = set(re.findall(r"--[a-z][a-z-]+", told.stdout + told.stderr))
    for launch in launches.values():
        script = render_script(launch)
        assert set(re.findall(r"^    (--[a-z-]+)", script, re.MULTILINE)) <= known


OTHER = {"n_ctx": 8192, "n_seq_max": 2, "n_gpu_layers": 3, "type_k": "q8_0", "n_outputs_max": None}
"""Values of knobs that a launch decides in a way of its own."""
TEXTS = {
    "override_tensor": "ffn_up=CPU",
    "tensor_split": (3.0, 1.0),
    "n_devices": 0,
    "spec_type": "ngram-mod",
    "spec_draft_device": "CUDA0",
    "spec_draft_override_tensor": "ffn_up=CPU",
}


def another_value(name: str) -> object:
    """A value of the knob that no program has by itself."""
    default, words = getattr(RunConfig(), name), list(KNOBS[name].choices)
    if name in OTHER | TEXTS:
        return (OTHER | TEXTS)[name]
    if words:
        return next(word for word in words if word not in (default, "on", "auto"))
    return not default if KINDS[name] == "bool" else (default or 1) + 1


@pytest.mark.parametrize(
    "name", [n for n, k in KNOBS.items() if "llama-server" in k.keys and n != "swa_full"]
)
def test_each_knob_is_said_by_llama_server(make_launch: Make, name: str) -> None:
    asked = another_value(name)
    changed, plain = (
        server_flags(make_launch("qwen3-30b-a3b:Q4_K_M", **{"n_ctx": 4096, "n_seq_max": 1} | knobs))
        for knobs in ({name: asked}, {})
    )
    key = KNOBS[name].keys["llama-server"]
    assert key in changed
    assert changed.items() - plain.items()
    assert changed[key] is None or changed[key] != plain.get(key)
