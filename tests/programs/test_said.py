"""What programs make of what was said."""

from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomph.architectures.catalogue import catalogue_model
from oomph.errors import ConfigError
from oomph.knob import Program
from oomph.programs.command_line import read_command
from oomph.programs.defaults import PROGRAMS
from oomph.programs.said import Said, checked_program
from oomph.units import GIB

MODEL = catalogue_model("gemma-3-12b", "Q4_K_M")
ALL = get_args(Program)


def made(program: Program = "llama-server", memory_gib: int = 24, **knobs: Any) -> dict[str, Any]:
    """The configuration of what was said, as a dictionary."""
    return Said(program=program, knobs=knobs).config(MODEL, memory_gib * GIB).to_dict()


def test_every_program_says_where_its_defaults_are_from() -> None:
    assert set(PROGRAMS) == set(ALL)
    assert all(facts.source and facts.build for facts in PROGRAMS.values())


@pytest.mark.parametrize(
    ("program", "n_ctx", "slots", "unified", "batches", "outputs", "swa_full", "flash"),
    [
        ("llama-server", 131_072, 4, True, (2048, 512), 4, False, "auto"),
        ("llama-cli", 131_072, 1, False, (2048, 512), 1, False, "auto"),
        ("llama-bench", 512, 1, False, (2048, 512), None, False, "auto"),
        ("llama-cpp-python", 512, 1, False, (2048, 512), None, True, "auto"),
        ("ollama", 32_768, 1, False, (1024, 1024), 1, False, "auto"),
        ("lm-studio", 4096, 4, True, (2048, 512), 4, False, "auto"),
        ("koboldcpp", 12_416, 1, True, (1024, 512), None, False, "on"),
        ("text-generation-webui", 131_072, 1, False, (1024, 1024), 1, False, "on"),
    ],
)
def test_nothing_said_is_what_the_program_has_by_itself(
    program: Program,
    n_ctx: int,
    slots: int,
    unified: bool,
    batches: tuple[int, int],
    outputs: int | None,
    swa_full: bool,
    flash: str,
) -> None:
    config = made(program)
    assert config["n_ctx"] == n_ctx
    assert (config["n_seq_max"], config["kv_unified"]) == (slots, unified)
    assert (config["n_batch"], config["n_ubatch"]) == batches
    assert config["n_outputs_max"] == outputs
    assert (config["swa_full"], config["flash_attn"]) == (swa_full, flash)


def test_slots_that_are_counted_have_a_cache_each_in_llama_server() -> None:
    """server.cpp sets kv_unified where n_parallel is left out, and nowhere else."""
    assert made(n_seq_max=2)["kv_unified"] is False
    assert made(n_seq_max=2)["n_outputs_max"] == 2
    assert made(n_seq_max=2, kv_unified=True)["kv_unified"] is True
    assert made(kv_unified=False)["kv_unified"] is False
    assert made(n_seq_max=-1) == made(n_seq_max="auto") == made()


@pytest.mark.parametrize(
    ("memory_gib", "n_ctx", "n_ubatch"), [(8, 4096, 512), (24, 32_768, 1024), (96, 131_072, 2048)]
)
def test_ollama_chooses_by_the_card_and_stays_within_the_model(
    memory_gib: int, n_ctx: int, n_ubatch: int
) -> None:
    config = made("ollama", memory_gib)
    assert (config["n_ctx"], config["n_ubatch"], config["n_batch"]) == (n_ctx, n_ubatch, n_ubatch)
    assert made("ollama", n_ctx=8192, n_seq_max=2)["n_ctx"] == 16_384


def test_zero_is_the_models_own_context_and_text_is_read_as_people_write_it() -> None:
    assert made(n_ctx=0)["n_ctx"] == made(n_ctx="0")["n_ctx"] == 131_072
    assert made(n_ctx="90k")["n_ctx"] == 90_000
    assert made("llama-bench", n_depth=4096)["n_ctx"] == 4608


def test_a_share_for_each_card_says_how_many_there_are() -> None:
    assert made(tensor_split=(3.0, 1.0))["n_devices"] == made(tensor_split="3,1")["n_devices"] == 2
    assert made(tensor_split=(3.0, 1.0), n_devices=4)["n_devices"] == 4


@given(
    st.sampled_from(ALL),
    st.fixed_dictionaries(
        {},
        optional={
            "n_ctx": st.integers(1, 1 << 17),
            "n_batch": st.integers(1, 4096),
            "n_ubatch": st.integers(1, 4096),
            "n_seq_max": st.integers(1, 64),
            "kv_unified": st.booleans(),
            "n_outputs_max": st.integers(1, 64),
            "type_k": st.sampled_from(["f16", "q8_0"]),
            "swa_full": st.booleans(),
            "flash_attn": st.sampled_from(["on", "off", "auto"]),
        },
    ),
)
def test_what_was_said_stands(program: Program, knobs: dict[str, Any]) -> None:
    """But for a context that a program counts in its own way."""
    config = made(program, **knobs)
    facts = PROGRAMS[program]
    own = {"n_ctx"} if facts.added_context or facts.counts_per_slot else set()
    assert {name: config[name] for name in knobs.keys() - own} == {
        name: knobs[name] for name in knobs.keys() - own
    }


def test_names_are_taken_however_they_are_written() -> None:
    assert checked_program("LM Studio") == "lm-studio"
    assert checked_program("llama_server") == "llama-server"
    with pytest.raises(ConfigError, match="'vllm' is no program that oomph knows; --as takes"):
        checked_program("vllm")


def test_what_cannot_be_is_refused_with_the_place() -> None:
    with pytest.raises(ConfigError, match=r"^the command line: n_ctx is -5; it must be at least 1"):
        made(n_ctx=-5)
    with pytest.raises(ConfigError, match=r"^here: n_ctx is 'lots'; it takes a whole number"):
        Said(knobs={"n_ctx": "lots"}, where="here").config(MODEL)


def test_the_documents_table_is_what_is_asked(repository: Path) -> None:
    page = (repository / "docs/programs.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:-1] for line in page.splitlines() if line.startswith("| `")]
    told = {row[0].strip(" `"): [cell.strip() for cell in row[1:]] for row in rows[1:]}
    assert list(told) == list(PROGRAMS)
    for program, facts in PROGRAMS.items():
        build, _, slots, _, batches, _, flash, swa_full, source = told[program]
        config = made(program)
        assert (build, slots) == (facts.build, str(config["n_seq_max"]))
        assert (flash, swa_full) == (config["flash_attn"], "on" if config["swa_full"] else "off")
        assert f"{config['n_batch']:,}/{config['n_ubatch']:,}" in batches
        assert source.startswith(facts.source)


def test_embeddings_are_one_batch_whose_tokens_are_all_results() -> None:
    """tools/server/server.cpp sets n_batch, server_output_limits what is kept of it."""
    model = catalogue_model("bge-m3", "F16")
    found = [
        Said(knobs=knobs).config(model)
        for knobs in (
            {"embeddings": True},
            {"embeddings": True, "n_ubatch": 4096},
            {"pooling": "mean"},
            {"pooling": "none"},
        )
    ]
    assert [(each.n_batch, each.n_ubatch, each.n_outputs_max) for each in found] == [
        (512, 512, 512),
        (2048, 4096, 2048),
        (2048, 512, 2048),
        (2048, 512, 4),
    ]


def test_llama_cpp_python_has_a_sequence_for_each_token_of_a_batch() -> None:
    call = (
        "Llama(model_path='m.gguf', embedding=True, pooling_type=llama_cpp.LLAMA_POOLING_TYPE_CLS)"
    )
    config = read_command(call).said.config(catalogue_model("bge-m3", "F16"))
    assert (config.embeddings, config.pooling) == (True, "cls")
    assert (config.n_seq_max, config.kv_unified) == (256, True)


@pytest.mark.parametrize(("word", "asked"), [("1", True), ("0", False), ("0,1", True)])
def test_llama_bench_may_make_embeddings(word: str, asked: bool) -> None:
    config = read_command(f"llama-bench -m m.gguf -embd {word}").said.config(
        catalogue_model("bge-m3", "F16")
    )
    assert config.embeddings is asked
