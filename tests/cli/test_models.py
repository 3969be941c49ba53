"""`oomph models`, and names, file sizes and memory as people write them, on the command line."""

import json
from collections.abc import Callable
from itertools import pairwise

import pytest

from oomph.architectures.catalogue import catalogue_names

Oomph = Callable[..., tuple[int, str, str]]
SMALL = ("-c", "4096", "--gpu", "3090")


def test_models_lists_the_catalogue_by_family(oomph: Oomph) -> None:
    code, out, _ = oomph("models")
    rows = [line.split() for line in out.splitlines()[2:] if line][: len(catalogue_names())]
    assert code == 0
    assert {row[1] for row in rows} == set(catalogue_names())
    families = [row[0] for row in rows]
    assert len(set(families)) == 1 + sum(a != b for a, b in pairwise(families))
    assert "with --file-size SIZE, fitted to the file: UD-Q4_K_XL" in out


def test_models_shows_one_with_its_quantizations(oomph: Oomph) -> None:
    _, out, _ = oomph("models", "Qwen3 8B")
    assert out.startswith("qwen3-8b: qwen3, 36 layers")
    assert "qwen3-8b:Q4_K_M" in out
    assert "qwen3-8b:Q4_K_L" in out
    _, line, _ = oomph("models", "qwen3:30b", "--json")
    found = json.loads(line)
    assert (found["name"], found["also"]) == ("qwen3-30b-a3b-2507", ["qwen3:30b", "qwen3:30b-a3b"])
    assert found["weights_bytes"]["Q4_K_M"] < found["weights_bytes"]["Q8_0"]


def test_models_shows_those_that_begin_so_or_what_is_near(oomph: Oomph) -> None:
    _, out, _ = oomph("models", "gemma-4")
    assert out.startswith("5 models")
    code, _, error = oomph("models", "qwen4-30b")
    assert code == 2
    assert "did you mean" in error


def test_what_was_made_of_a_name_is_said_everywhere(oomph: Oomph, tmp_path) -> None:  # type: ignore[no-untyped-def]
    said = "note: Qwen3 8B Q4_K_M is read as qwen3-8b:Q4_K_M, by its name alone\n"
    for command in ("answer", "estimate", "max-context"):
        knobs = SMALL[2:] if command == "max-context" else SMALL
        assert said in oomph(command, "Qwen3 8B Q4_K_M", *knobs)[1]
    assert said in oomph("explain", "kv", "--model", "Qwen3 8B Q4_K_M", *SMALL)[1]
    assert said in oomph("inspect", "Qwen3 8B Q4_K_M")[1]
    page = ("--out", tmp_path / "page.html")
    assert said in oomph("what-if", "Qwen3 8B Q4_K_M", "--gpu", "3090", *page)[2]
    files = ("--out", tmp_path / "launch", "--model-path", "/models/m.gguf")
    assert said in oomph("launch", "Qwen3 8B Q4_K_M", *SMALL, *files)[1]


def test_a_files_size_is_taken_and_said(oomph: Oomph) -> None:
    name, size = "unsloth/Qwen3-8B-GGUF:UD-Q4_K_XL", ("--file-size", "5.1GiB")
    _, out, _ = oomph("answer", name, *size, *SMALL)
    assert "qwen3-8b UD-Q4_K_XL" in out
    assert "qwen3-8b:UD-Q4_K_XL@5.1GiB" in out
    for command in ("answer", "estimate"):
        line = json.loads(oomph(command, name, *size, *SMALL, "--json")[1])
        said = line["notes" if command == "answer" else "warnings"]
        assert any("fitted to a file of 5.10 GiB" in note for note in said)
    code, _, error = oomph("estimate", "qwen3-8b:Q4_K_M", "--file-size", "51GiB")
    assert (code, error.count("\n")) == (2, 1)


@pytest.mark.parametrize("said", ["24576", "24GiB", "24 GiB", "24G", "25769.803776MB"])
def test_memory_is_taken_as_people_write_it(oomph: Oomph, said: str) -> None:
    line = oomph("answer", "qwen3-8b:Q4_K_M", "--gpu-mem", said, "-c", "4096", "--json")[1]
    assert json.loads(line)["memory_bytes"] == 24 << 30


@pytest.mark.parametrize("said", ["24parsecs", "nan", "inf", "0", "-1", "1e400", "lots"])
def test_memory_that_no_card_has_is_one_sentence(oomph: Oomph, said: str) -> None:
    code, _, error = oomph("estimate", "qwen3-8b:Q4_K_M", f"--gpu-mem={said}")
    assert (code, error.count("\n")) == (2, 1)
    assert "24080, or with its unit, as 24GiB" in error


def test_max_context_of_a_name_alone_is_the_usual_quantizations(oomph: Oomph) -> None:
    _, out, _ = oomph("max-context", "Qwen3 8B", "--gpu", "3090", "--type-kv", "f16")
    assert all(f"\n{kind} " in out for kind in ("Q8_0", "Q4_K_M", "Q2_K"))
