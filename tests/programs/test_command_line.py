"""Command lines as people paste them, of every program and in every wrapping."""

import contextlib
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oomph.architectures.catalogue import catalogue_model
from oomph.errors import ConfigError, OomphError
from oomph.programs.command_line import read_command
from oomph.programs.defaults import PROGRAMS
from oomph.programs.fit_flags import FitFlags
from oomph.programs.flags import by_spelling
from oomph.programs.llama import ALL_LAYERS
from oomph.programs.pasted import Pasted
from oomph.programs.shell import LONGEST

MODEL = catalogue_model("qwen3-30b-a3b", "Q4_K_M")
AWFUL = (
    "llama-server -hf unsloth/Qwen3.6-27B-MTP-GGUF:UD-Q4_K_XL -c 112128 --parallel 1 "
    "--flash-attn on --no-context-shift -ngl -1 --metrics --jinja --cache-type-k q8_0 "
    "--cache-type-v q8_0 --spec-type draft-mtp --spec-draft-n-max 2 --mmproj mmproj-F16.gguf"
)


def knobs(text: str) -> dict[str, Any]:
    """The knobs of a command line."""
    return dict(read_command(text).said.knobs)


def server(flags: str) -> dict[str, Any]:
    """The knobs of llama-server's flags."""
    return knobs(f"llama-server -m m.gguf {flags}")


def remark(pasted: Pasted, begin: str) -> str:
    """The remark that begins so; empty if there is none."""
    return next((each for each in pasted.said.remarks if each.startswith(begin)), "")


def test_the_line_that_nothing_took() -> None:
    pasted = read_command(AWFUL)
    assert pasted.said.knobs == {
        "n_ctx": 112_128,
        "n_seq_max": 1,
        "flash_attn": "on",
        "type_k": "q8_0",
        "type_v": "q8_0",
        "spec_type": "draft-mtp",
        "spec_draft_n_max": 2,
    }
    assert pasted.said.fit == FitFlags(), "-ngl -1 is auto"
    assert pasted.model == "unsloth/Qwen3.6-27B-MTP-GGUF:UD-Q4_K_XL"
    assert pasted.said.files == {"mmproj": "mmproj-F16.gguf"}
    assert not remark(pasted, "Not in the figures")
    assert remark(pasted, "Changes") == "Changes no memory: --no-context-shift, --metrics, --jinja."


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        ("-c 0", {"n_ctx": 0}),
        ("--ctx_size 128K", {"n_ctx": 131_072}),
        ("-c 4096 -c 8192", {"n_ctx": 8192}),
        ("-fa", {"flash_attn": "on"}),
        ("-fa -ngl 99", {"flash_attn": "on", "n_gpu_layers": 99}),
        ("-fa 1", {"flash_attn": "on"}),
        ("-fa true", {"flash_attn": "on"}),
        ("--flash-attn off", {"flash_attn": "off"}),
        ("-np -1", {}),
        ("-np 2 -kvu", {"n_seq_max": 2, "kv_unified": True}),
        ("-no-kvu", {}),  # which llama-server overrides while slots are not counted
        ("-ngl all", {"n_gpu_layers": -1}),
        ("-ngl auto", {}),
        ("-cmoe", {"n_cpu_moe": ALL_LAYERS}),
        ("-ncmoe 20", {"n_cpu_moe": 20}),
        ("--spec-type draft-mtp --spec-type ngram-mod", {"spec_type": "draft-mtp,ngram-mod"}),
        ("--spec-draft-n-max 5", {"spec_draft_n_max": 5}),
        ("-ctkd q8_0 -ctvd q4_0", {"spec_draft_type_k": "q8_0", "spec_draft_type_v": "q4_0"}),
        ("-ngld auto -devd CUDA1", {"spec_draft_device": "CUDA1"}),
        ("-ngld 10", {"spec_draft_ngl": 10}),
        ("-ncmoed 6", {"spec_draft_n_cpu_moe": 6}),
        ("-cmoed", {"spec_draft_n_cpu_moe": ALL_LAYERS}),
        ("-otd a=CPU -otd b=CPU", {"spec_draft_override_tensor": "a=CPU,b=CPU"}),
        ("-dev none", {"n_devices": 0}),
        ("-dev CUDA0,CUDA1", {"n_devices": 2}),
        ("-ts 3,1", {"tensor_split": (3.0, 1.0), "n_devices": 2}),
        ("-sm none -mg 1", {"split_mode": "none", "main_gpu": 1}),
        ("-sm tensor", {"split_mode": "tensor"}),
        ("--no-op-offload -nkvo", {"op_offload": False, "offload_kqv": False}),
        ("-ot a=CPU,b=CPU --override-tensor c=CPU", {"override_tensor": "a=CPU,b=CPU,c=CPU"}),
        ("--override-kv qwen3moe.expert_used_count=int:10", {"n_expert_used": 10}),
        ("--override-kv a.b=int:1 --override-kv q.expert_used_count=int:9", {"n_expert_used": 9}),
        ("--override-kv q.context_length=int:90000", {"n_ctx": 90_000}),
        ("--kv-unified-per-slot 8192 -np 2", {"n_ctx": 16_384, "n_seq_max": 2}),
        ("--rope-scaling yarn --rope-freq-scale 0.25", {"rope_scaling": "yarn", "rope_scale": 4.0}),
        ("-t -1 --swa-full", {"swa_full": True}),
        (
            "--cache-ram 4096 --ctx-checkpoints 4 -cms 256 --no-host",
            {"cache_ram_mib": 4096, "ctx_checkpoints": 4},
        ),
        ("-ncffn 3 -lm none", {"n_cpu_ffn": 3, "load_mode": "none"}),
        ("--no-mmap", {"load_mode": "none"}),
        ("--mlock", {"load_mode": "mmap+mlock"}),
        ("--moe-cache-mib 2048", {"moe_cache_mib": 2048}),
    ],
)
def test_llama_cpps_own_spellings(flags: str, found: dict[str, Any]) -> None:
    assert server(flags) == found
    read_command(f"llama-server -m m.gguf {flags}").said.config(MODEL)


def test_every_flag_of_the_table_is_known() -> None:
    for spelling, (flag, is_on) in by_spelling().items():
        values = {
            "override-kv": "general.x=int:1",
            "split-mode": "row",
            "rope-scaling": "yarn",
            "load-mode": "none",
            "device": "CUDA0",
            "spec-type": "ngram-mod",
            "pooling": "cls",
        }
        value = values.get(flag.name, "q8_0" if "cache-type" in flag.name else "1 2")
        words = value.split()[: flag.n_values] if is_on else []
        pasted = read_command(" ".join(["llama-server", spelling, *words]))
        assert not remark(pasted, "Not known"), spelling
        assert bool(remark(pasted, "Not in the figures")) <= bool(flag.effect or not is_on), (
            spelling
        )


@pytest.mark.parametrize(
    "flags",
    [
        "--rpc h:1", "--override-kv qwen3.block_count=int:3", "-dev Vulkan0", "-bs",
    ],
)  # fmt: skip
def test_what_is_not_modelled_is_named_with_its_effect(flags: str) -> None:
    untold = remark(read_command(f"llama-server -m m.gguf {flags}"), "Not in the figures: ")
    assert flags.split()[0].replace("-dev", "-") in untold
    assert untold.endswith(").")


@pytest.mark.parametrize(
    ("flags", "pooling"),
    [
        ("--embedding", None),
        ("--embeddings --pooling mean", "mean"),
        ("--reranking", "rank"),
        ("--rerank", "rank"),
    ],
)
def test_embeddings_and_scores_are_knobs(flags: str, pooling: str | None) -> None:
    pasted = read_command(f"llama-server -m m.gguf -ub 1024 {flags}")
    assert not remark(pasted, "Not in the figures")
    config = pasted.said.config(catalogue_model("bge-small-en-v1.5", "Q8_0"))
    assert (config.embeddings, config.pooling) == (True, pooling)
    assert config.n_batch == config.n_outputs_max == config.n_ubatch == 1024


def test_what_is_loaded_beside_the_model_is_read() -> None:
    pasted = read_command(
        "llama-server -m m.gguf --lora a.gguf --lora-scaled b.gguf:0.5 -mm p.gguf "
        "--no-mmproj-offload --image-min-tokens -1 --image-max-tokens 1024"
    )
    assert pasted.said.files == {"lora": "a.gguf,b.gguf:0.5", "mmproj": "p.gguf"}
    assert pasted.said.knobs == {"mmproj_offload": False, "image_max_tokens": 1024}
    assert pasted.said.is_whole


def test_values_with_which_a_flag_takes_nothing_are_neutral() -> None:
    idle = "--spec-type none --cache-ram 0 --ctx-checkpoints 0 --no-mmproj --lookup 1"
    pasted = read_command(f"llama-server -m m.gguf {idle}")
    assert not remark(pasted, "Not in the figures")
    assert "--lookup 1" in remark(pasted, "Not known")


@pytest.mark.parametrize(
    "flags", ["--no-mmap", "--mlock", "--draft-max 3", "-fa", "--ctx-size=1024", "-ctk fp16"]
)
def test_what_this_build_refuses_is_said(flags: str) -> None:
    refused = remark(read_command(f"llama-server -m m.gguf {flags}"), "Refused by llama.cpp 0.5.0")
    assert flags.split()[0] in refused


def test_an_unknown_flag_is_named_with_the_nearest() -> None:
    pasted = read_command("llama-server -m m.gguf --parallell 3 -c 1024")
    assert remark(pasted, "Not known") == (
        "Not known, and left out: --parallell 3 (like --parallel?)."
    )
    assert pasted.said.knobs == {"n_ctx": 1024}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("# nothing\n", "no command"),
        ("vllm serve x", "'vllm' starts no program that oomph knows; it knows llama-server"),
        ("llama-server -c", "-c has no value; it takes N"),
        ("llama-server -c -ngl 99", "-c -ngl: n_ctx is '-ngl'; it takes a whole number"),
        ("llama-server -ctk q6_0", "-ctk q6_0: type_k is 'q6_0'; it must be one of f32, f16"),
        ("llama-server -np 0", "n_seq_max is 0; it must be at least 1"),
        ("llama-server -fa maybe", "it takes on|off|auto"),
        ("llama-server --override-kv a=10", "KEY=TYPE:VALUE"),
        ("llama-server -m 'x", "a quote ' is never closed"),
        ("llama-bench -p many", "it takes whole numbers"),
        ("llm = Llama(n_ctx=", "no call of Llama in it is Python"),
        (f"Llama(n_ctx={'1*' * 20_000}1)", "Llama"),
        (f"A={'x' * 9000}\nllama-server {'$A ' * 9000}", "too long a command line"),
        ("x" * (LONGEST + 1), "are no command line"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read_command(text)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


FLAGS = {"n_ctx": 16_384, "n_gpu_layers": 99}
WRAPPED = {
    "lines": "llama-server \\\n  -m /m/x.gguf \\\n  -c 16384 \\\n  --n-gpu-layers 99\n",
    "no continuation": "llama-server -m /m/x.gguf\n  -c 16384\n  -ngl 99",
    "fenced": "```bash\n$ llama-server -m /m/x.gguf -c 16384 -ngl 99  # mine\n```",
    "prefixed": "CUDA_LAUNCH_BLOCKING=1 sudo nice -n 5 ./bin/llama-server -m '/m/x.gguf' "
    "-c 16384 -ngl 99 > log.txt 2>&1 &",
    "variables": 'MODEL=/m/x.gguf\nexport CTX=16384\nllama-server -m "$MODEL" -c ${CTX} -ngl 99',
    "environment": "LLAMA_ARG_CTX_SIZE=16384 LLAMA_ARG_N_GPU_LAYERS=9 llama-server -m /m/x.gguf "
    "-ngl 99",
    "shell": "bash -c 'cd /srv && exec llama-server -m /m/x.gguf -c 16384 -ngl 99'",
    "docker": "docker run --rm --name llama-server -v /m:/m -e LLAMA_ARG_CTX_SIZE=16384 --gpus all "
    "host/org/llama.cpp:server-cuda -m /m/x.gguf -ngl 99",
    "compose text": "services:\n  llm:\n    image: org/llama.cpp:server-cuda\n    ports:\n"
    "      - 8080:8080\n    command: -m /m/x.gguf -c 16384 --n-gpu-layers 99\n",
    "compose folded": "services:\n  llm:\n    command: >-\n      -m /m/x.gguf\n      -c 16384\n"
    "      -ngl 99\n    image: org/llama.cpp:server\n",
    "compose list": "services:\n  llm:\n    image: org/llama.cpp:full-cuda\n    environment:\n"
    "      LLAMA_ARG_N_GPU_LAYERS: 99\n    command:\n      - --server\n      - -m\n"
    "      - /m/x.gguf\n      - \"-c\"\n      - '16384'\n",
    "compose flow": "services:\n  llm:\n    image: a\n    command: [\"llama-server\", '-m', "
    "\"/m/x.gguf\", \"-c\", \"16384\", \"-ngl\", \"99\"]\n",
    "compose of several": "services:\n  ui:\n    image: org/ui:main\n    command: serve\n"
    "    environment:\n      - A=B\n  llm:\n    image: org/llama.cpp:server\n"
    "    command: -m /m/x.gguf -c 16384 -ngl 99\n",
    "llama-swap": "models:\n  \"x\":\n    cmd: |\n      llama-server --port ${PORT}\n"
    "      -m /m/x.gguf -c 16384 -ngl 99\n    ttl: 60\n",
    "one program": "llama serve -m /m/x.gguf -c 16384 -ngl 99",
    "pod": "containers:\n- name: llm\n  image: org/llama.cpp:server\n  args: [\"-m\", "
    "\"/m/x.gguf\", \"-ngl\", \"99\"]\n  env:\n  - name: LLAMA_ARG_CTX_SIZE\n    value: '16384'\n",
    "systemd": "[Unit]\nDescription=llama\n[Service]\nEnvironment=\"LLAMA_ARG_CTX_SIZE=16384\"\n"
    "ExecStart=/usr/bin/llama-server -m /m/x.gguf \\\n  -ngl 99\nRestart=always\n",
    "dockerfile": "FROM org/llama.cpp:server-cuda\nENV LLAMA_ARG_CTX_SIZE=16384\n"
    "CMD [\"-m\", \"/m/x.gguf\", \"-ngl\", \"99\"]\n",
    "powershell": "& .\\llama-server.exe `\n  -m /m/x.gguf `\n  -c 16384 `\n  -ngl 99",
    "powershell variables": "$env:LLAMA_ARG_CTX_SIZE = '16384'\nllama-server -m /m/x.gguf -ngl 99",
    "cmd": "set LLAMA_ARG_CTX_SIZE=16384\nllama-server.exe -m /m/x.gguf ^\n -ngl 99",
    "bent": "llama-server –m “/m/x.gguf” –c 16384 —n-gpu-layers 99",
    "preset": "; mine\n[*]\nctx-size = 16384\n\n[big]\nmodel = /m/x.gguf\nngl = 99\n",
    "flags alone": "-m /m/x.gguf -c 16384 -ngl 99",
}  # fmt: skip


@pytest.mark.parametrize("text", WRAPPED.values(), ids=WRAPPED)
def test_what_wraps_a_command_is_taken_off(text: str) -> None:
    pasted = read_command(text)
    assert pasted.said.program == "llama-server"
    assert pasted.said.knobs == FLAGS
    assert pasted.model == "/m/x.gguf"


def test_a_path_of_windows_keeps_its_backslashes() -> None:
    pasted = read_command('& "C:\\llama\\llama-server.exe" -m "C:\\my models\\x.gguf" -c 1024')
    assert pasted.model == "C:\\my models\\x.gguf"


def test_cards_are_those_that_are_visible() -> None:
    assert knobs("CUDA_VISIBLE_DEVICES=0,2 llama-server -m m") == {"n_devices": 2}
    assert knobs("CUDA_VISIBLE_DEVICES=-1 llama-server -m m") == {"n_devices": 0}


def test_of_several_commands_the_first_is_read_and_said() -> None:
    pasted = read_command(
        "cmake --build build --target llama-server\n"
        "llama-server -m a.gguf -c 1024\nllama-server -m b.gguf"
    )
    assert pasted.model == "a.gguf"
    assert "Of 2 commands the first is read: llama-server a.gguf." in pasted.said.remarks


def test_a_repository_is_what_llama_cpp_would_fetch() -> None:
    pasted = read_command("llama-server -hf a/b-GGUF")
    assert pasted.model == "a/b-GGUF:Q4_K_M"
    assert remark(pasted, "-hf fetches the repository's projector")
    assert read_command("llama-server -hf a/b -hff c.gguf").model == "hf:a/b/c.gguf"
    assert not remark(read_command("llama-server -hf a/b:Q8_0 --no-mmproj"), "-hf")


@pytest.mark.parametrize(
    ("text", "program", "model", "found"),
    [
        (
            "llama-cli -m m.gguf -p 'tell me' -n 20 -np -1",
            "llama-cli", "m.gguf", {},
        ),
        (
            "llama-bench -m m.gguf -p 512,2048 -n 128 -d 0,16384 -ub 512-2048*2 -fa 1 -nkvo 1 -r 3",
            "llama-bench", "m.gguf",
            {"n_ctx": 18_432, "n_depth": 16_384, "n_ubatch": 2048, "flash_attn": "on",
             "offload_kqv": False},
        ),
        (
            "./koboldcpp-linux-x64 m.gguf --contextsize 16384 --gpulayers 99 --usecublas lowvram 0 "
            "--quantkv 1 --blasbatchsize 256 --moecpu --tensor_split 3 1 --moeexperts 10",
            "koboldcpp", "m.gguf",
            {"n_ctx": 16_384, "n_gpu_layers": 99, "offload_kqv": False, "type_k": "q8_0",
             "type_v": "q8_0", "n_ubatch": 256, "n_batch": 512, "n_cpu_moe": ALL_LAYERS,
             "tensor_split": (3.0, 1.0), "n_devices": 2, "n_expert_used": 10},
        ),
        ("ollama run gpt-oss:120b --verbose", "ollama", "gpt-oss:120b", {}),
        (
            "OLLAMA_CONTEXT_LENGTH=32768 OLLAMA_KV_CACHE_TYPE=q8_0 OLLAMA_NUM_PARALLEL=2 "
            "OLLAMA_FLASH_ATTENTION=1 ollama serve",
            "ollama", None,
            {"n_ctx": 32_768, "type_k": "q8_0", "type_v": "q8_0", "n_seq_max": 2,
             "flash_attn": "on"},
        ),
        (
            "services:\n  o:\n    image: ollama/ollama:latest\n    environment:\n"
            "      - OLLAMA_CONTEXT_LENGTH=8192\n",
            "ollama", None, {"n_ctx": 8192},
        ),
        (
            "FROM ./m.gguf\nPARAMETER num_ctx 16384\nPARAMETER temperature 1\n"
            "PARAMETER num_gpu 30\nPARAMETER num_batch 256\nSYSTEM You help.",
            "ollama", "./m.gguf",
            {"n_ctx": 16_384, "n_gpu_layers": 30, "n_ubatch": 256, "n_batch": 256},
        ),
        ("ollama run a:8b\n>>> /set parameter num_ctx 8192", "ollama", "a:8b", {"n_ctx": 8192}),
        (
            "# CMD_FLAGS\n--model-dir /m\n--model x.gguf\n--loader llama.cpp\n--ctx-size 65536\n"
            "--gpu-layers 41\n--cache-type q8_0\n--extra-flags '-ot a=CPU --n-cpu-moe 3'",
            "text-generation-webui", "/m/x.gguf",
            {"n_ctx": 65_536, "n_gpu_layers": 41, "type_k": "q8_0", "type_v": "q8_0",
             "override_tensor": "a=CPU", "n_cpu_moe": 3},
        ),
        (
            "python server.py --model x.gguf --gpu-layers 20 --streaming-llm",
            "text-generation-webui", "x.gguf",
            {"n_gpu_layers": 20, "swa_full": True, "n_ctx": 8192},
        ),
        (
            "import llama_cpp\nllm = llama_cpp.Llama('m.gguf', n_ctx=8192, n_gpu_layers=-1,\n"
            "    flash_attn=True, type_k=llama_cpp.GGML_TYPE_Q8_0, type_v=8)\nprint(llm('hi'))",
            "llama-cpp-python", "m.gguf",
            {"n_ctx": 8192, "n_gpu_layers": -1, "flash_attn": "on", "type_k": "q8_0",
             "type_v": "q8_0", "n_batch": 512, "n_ubatch": 512},
        ),
        (
            "llm = Llama.from_pretrained(repo_id='a/b', filename='c.gguf', verbose=False)",
            "llama-cpp-python", "hf:a/b/c.gguf",
            {"n_gpu_layers": 0, "flash_attn": "off", "n_batch": 512, "n_ubatch": 512},
        ),
        (
            "python3 -m llama_cpp.server --model m.gguf --n_gpu_layers -1 --flash_attn true",
            "llama-cpp-python", "m.gguf",
            {"n_ctx": 2048, "n_gpu_layers": -1, "flash_attn": "on", "n_batch": 512,
             "n_ubatch": 512},
        ),
        (
            "lms load qwen3-30b --context-length 8192 --gpu max --parallel 2 -y",
            "lm-studio", "qwen3-30b", {"n_ctx": 8192, "n_gpu_layers": -1, "n_seq_max": 2},
        ),
    ],
)  # fmt: skip
def test_other_programs_in_their_own_words(
    text: str, program: str, model: str | None, found: dict[str, Any]
) -> None:
    pasted = read_command(text)
    assert (pasted.said.program, pasted.model) == (program, model)
    assert pasted.said.knobs == found
    assert not remark(pasted, "Not known")
    pasted.said.config(MODEL)


def test_a_program_that_is_named_beside_it_has_its_defaults() -> None:
    pasted = read_command("llama-server -m m.gguf -c 4096", "llama-cli")
    assert pasted.said.config(MODEL).n_seq_max == 1


def test_secrets_are_not_repeated() -> None:
    pasted = read_command("llama-server -m m.gguf --api-key s3cret -hft hf_s3cret")
    assert "s3cret" not in " ".join(pasted.said.remarks)


SAMPLES = (*WRAPPED.values(), AWFUL, "FROM x\nPARAMETER num_ctx 1", "Llama(n_ctx=1/0)")
MARKS = ("docker", "run", "=", "\n", "[", "]", "$A", "'", "`", "|", "\u2028", "-", "1e400", "A=B")
WORDS = st.sampled_from([*by_spelling(), *PROGRAMS, *MARKS])


@settings(max_examples=400, deadline=None)
@given(
    st.one_of(
        st.text(max_size=200),
        st.lists(st.one_of(WORDS, st.text(max_size=8)), max_size=12).map(" ".join),
        st.tuples(
            st.sampled_from(SAMPLES), st.integers(0, 300), st.integers(0, 8), st.text(max_size=8)
        ).map(lambda cut: cut[0][: cut[1]] + cut[3] + cut[0][cut[1] + cut[2] :]),
    )
)
def test_hostile_text_is_read_or_refused_in_one_sentence(text: str) -> None:
    try:
        pasted = read_command(text)
        pasted.said.config(MODEL)
    except OomphError as error:
        sentences: tuple[str, ...] = (str(error),)
    else:
        sentences = pasted.said.remarks
    assert all("\n" not in each for each in sentences)


@pytest.mark.parametrize(
    "part",
    [
        "\n",
        " ",
        "-x ",
        "--ctx-sizes 1 ",
        "a ",
        "'' ",
        "` ",
        "\\\n",
        "[",
        "(",
        "$A",
        "${A:-",
        "Llama(",
    ],
)
def test_long_text_is_read_at_once(part: str) -> None:
    """Not in a time that grows with the square of its length."""
    text = "llama-server " + part * (60_000 // len(part)) + "x"
    for begin in ("", "[a]\nb = ", "services:\n  command: ", "ExecStart="):
        start = time.perf_counter()
        with contextlib.suppress(OomphError):
            read_command(begin + text)
        assert time.perf_counter() - start < 5


def test_no_variable_of_this_process_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_ARG_CTX_SIZE", "4096")
    monkeypatch.setenv("HIDDEN", "secret.gguf")
    pasted = read_command('llama-server -m "$HIDDEN"')
    assert (pasted.said.knobs, pasted.model) == ({}, "$HIDDEN")


@pytest.mark.parametrize("flag", ["-md d.gguf", "--model-draft d.gguf", "-hfd d.gguf"])
def test_a_draft_is_named_beside_the_model(flag: str) -> None:
    pasted = read_command(f"llama-server -m m.gguf {flag}")
    assert pasted.said.files == {"draft": "d.gguf"}
    assert pasted.said.is_whole


def test_a_kind_of_speculation_that_there_is_not_is_refused() -> None:
    with pytest.raises(ConfigError, match="has no 'draft-magic'"):
        read_command("llama-server -m m.gguf --spec-type draft-magic")
