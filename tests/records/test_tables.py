"""Tables as people paste them: what is whole is read, with its place; what is not is named."""

import codecs
import json
from pathlib import Path

import pytest

from oomph.records.imports import Taken, take_records
from oomph.records.schema import Record

HEAD = (
    "| model                          |       size |     params | backend    | ngl |"
    "            test |                  t/s |\n"
    "| ------------------------------ | ---------: | ---------: | ---------- | --: |"
    " --------------: | -------------------: |\n"
)
ROW = (
    "| gpt-oss 120B MXFP4 MoE         |  59.02 GiB |   116.83 B | {backend:10} |  99 |"
    " {test:>15} | {rate:>20} |\n"
)
SWEEP_HEAD = (
    "|    PP |     TG |   N_KV |   T_PP s | S_PP t/s |   T_TG s | S_TG t/s |\n"
    "|-------|--------|--------|----------|----------|----------|----------|\n"
)
SWEEP = (
    SWEEP_HEAD + "|   512 |    128 |      0 |    0.485 |  1054.84 |    2.558 |    50.04 |\n"
    "|   512 |    128 |    512 |    0.547 |   936.23 |    2.678 |    47.80 |\n"
)
CUDA = (
    "ggml_cuda_init: found 1 CUDA devices:\n"
    "  Device 0: NVIDIA GeForce RTX 5090, compute capability 12.0, VMM: yes\n"
)


def row(test: str = "pp512", rate: str = "1981.00 ± 10.00", backend: str = "CUDA") -> str:
    return ROW.format(test=test, rate=rate, backend=backend)


def take(folder: Path, content: str | bytes) -> Taken:
    path = folder / "pasted.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return take_records(path)


def rates(records: list[Record]) -> list[tuple[str, int, float]]:
    """Each timing's test, depth and rate."""
    return [
        (timing.test, timing.n_depth, round(timing.n_tokens * 1e9 / timing.samples_ns[0], 2))
        for record in records
        for timing in record.timings
    ]


def taken_rates(folder: Path, content: str | bytes) -> list[tuple[str, int, float]]:
    return rates(list(take(folder, content).records))


def test_a_row_that_is_cut_is_named_and_the_others_are_kept(tmp_path: Path) -> None:
    taken = take(tmp_path, HEAD + row() + row("tg128", "90.00 ± 1.00")[:88])
    assert rates(list(taken.records)) == [("pp512", 0, 1981.0)]
    (problem,) = taken.problems
    assert (problem.line, problem.why[:21]) == (4, "a row that is cut: | ")


def test_no_device_is_the_processor(tmp_path: Path) -> None:
    table = (
        "ggml_cuda_init: found 1 CUDA devices (Total VRAM: 97886 MiB):\n"
        "  Device 0: NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition, compute capability "
        "12.0, VMM: yes, VRAM: 97886 MiB\n"
        "| model | size | params | backend | ngl | dev | lm | test | t/s |\n"
        "| --- | ---: | ---: | --- | --: | --- | ---: | ---: | ---: |\n"
        "| qwen35moe 35B.A3B Q4_K - Medium | 21.10 GiB | 35.51 B | CUDA | -1 | none | none | pp512"
        " | 195.09 ± 19.68 |\n"
    )
    (record,) = take(tmp_path, table).records
    assert (record.environment.backend, record.environment.gpus) == ("cpu", [])
    assert (record.config["n_devices"], rates([record])) == (0, [("pp512", 0, 195.09)])


def test_a_sweep_in_markdown_has_its_depths_and_no_backend(tmp_path: Path) -> None:
    (record,) = take(tmp_path, "# port of sweep-bench, default batches\n" + SWEEP).records
    assert record.origin == "sweep-bench"
    assert record.environment.backend == "unknown"
    assert not record.is_calibrating
    assert rates([record]) == [
        ("pp512", 0, 1054.84),
        ("tg128", 0, 50.04),
        ("pp512", 512, 936.23),
        ("tg128", 512, 47.8),
    ]


def test_each_sweep_of_a_file_is_a_record_with_its_own_settings_and_card(tmp_path: Path) -> None:
    second = (
        "main: n_kv_max = 8192, n_batch = 2048, n_ubatch = 1024, flash_attn = 1, "
        "n_gpu_layers = 99, n_threads = 8, n_threads_batch = 8\n"
    )
    first, other = take(tmp_path, SWEEP + "\nand now:\n" + CUDA + second + SWEEP).records
    assert (first.environment.backend, first.config) == ("unknown", {"n_ctx": 1024})
    assert other.environment.gpus == [{"name": "NVIDIA GeForce RTX 5090"}]
    assert other.config == {
        "n_ctx": 8192,
        "n_batch": 2048,
        "n_ubatch": 1024,
        "flash_attn": "on",
        "n_gpu_layers": 99,
        "n_threads": 8,
        "n_devices": 1,
    }


def test_a_later_table_has_its_own_columns_and_build(tmp_path: Path) -> None:
    later = (
        "| model | size | params | backend | ngl | n_ubatch | fa | test | t/s |\n"
        "| --- | ---: | ---: | --- | --: | ---: | -: | ---: | ---: |\n"
        "| gpt-oss 120B MXFP4 MoE | 59.02 GiB | 116.83 B | CUDA | 99 | 2048 | 1 | pp2048 | "
        "9000.00 ± 10.00 |\n\nbuild: 1738129be (9427)\n"
    )
    text = CUDA + HEAD + row() + "\nbuild: 0738129be (9426)\n\n" + later
    first, second = take(tmp_path, text).records
    assert [first.config.get("n_ubatch"), second.config["n_ubatch"]] == [None, 2048]
    assert first.environment.llama_cpp_commit == "0738129be"
    assert second.environment.llama_cpp_commit == "1738129be"
    assert first.environment.gpus == second.environment.gpus


def test_the_nearest_devices_above_a_table_are_its_own(tmp_path: Path) -> None:
    radeon = (
        "ggml_vulkan: Found 1 Vulkan devices:\n"
        "ggml_vulkan: 0 = AMD Radeon RX 7900 XTX (RADV NAVI31) (radv) | uma: 0 | fp16: 1 | bf16: 0"
        " | warp size: 64\n"
    )
    text = CUDA + HEAD + row() + radeon + HEAD + row(rate="3.00 ± 0.10", backend="Vulkan")
    first, second = take(tmp_path, text).records
    assert first.environment.gpus == [{"name": "NVIDIA GeForce RTX 5090"}]
    assert second.environment.gpus == [{"name": "AMD Radeon RX 7900 XTX (RADV NAVI31)"}]
    assert (first.environment.backend, second.environment.backend) == ("cuda", "vulkan")
    assert (first.is_calibrating, second.is_calibrating) == (True, False)


NOISE = "load_tensors: something | with a bar\nnote to self\n\n"


@pytest.mark.parametrize(
    "text",
    [
        HEAD + NOISE + row() + NOISE + row("tg128", "90.00 ± 1.00"),
        "".join(
            f"> {line}\n" for line in (HEAD + row() + row("tg128", "90.00 ± 1.00")).split("\n")
        ),
        "```\n" + HEAD + row() + "```\ntext\n```\n" + row("tg128", "90.00 ± 1.00") + "```\n",
        "$ ./llama-bench -m x.gguf\n" + HEAD + row() + row("tg128", "90.00 ± 1.00") + "$ \n",
        (HEAD + row() + row("tg128", "90.00 ± 1.00")).replace("\n", "\r\n"),
        "".join(
            f"Nov 27 12:00:01 host llama-bench[42]: {line}\n"
            for line in (HEAD + row() + row("tg128", "90.00 ± 1.00")).splitlines()
        ),
        "".join(
            f"bench-1  | {line}\n"
            for line in (HEAD + row() + row("tg128", "90.00 ± 1.00")).splitlines()
        ),
        (HEAD + row() + row("tg128", "90.00 ± 1.00")).replace("pp512", "\x1b[32mpp512\x1b[0m"),
        (HEAD + row() + row("tg128", "90.00 ± 1.00")).replace("pp512", "**pp512**"),
        (HEAD + row() + row("tg128", "90.00 ± 1.00")).replace("tg128", "tg 128"),
        (HEAD + row() + row("tg128", "90.00 ± 1.00")).replace("±", "┬▒"),
    ],
    ids=[
        "prose", "quoted", "fences", "prompt", "crlf", "journald", "compose", "colours", "bold",
        "old-label", "mojibake",
    ],
)  # fmt: skip
def test_a_table_is_read_wherever_it_stands(text: str, tmp_path: Path) -> None:
    taken = take(tmp_path, text)
    assert rates(list(taken.records)) == [("pp512", 0, 1981.0), ("tg128", 0, 90.0)]
    assert taken.problems == []


@pytest.mark.parametrize("mark", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
def test_a_table_is_read_in_any_encoding(mark: str, tmp_path: Path) -> None:
    assert taken_rates(tmp_path, (HEAD + row()).encode(mark)) == [("pp512", 0, 1981.0)]


def test_bytes_that_are_no_text_stand_for_nothing(tmp_path: Path) -> None:
    text = (HEAD + row()).encode("cp1252") + codecs.BOM_UTF8 + b"\xff\xfe\x00"
    assert taken_rates(tmp_path, text) == [("pp512", 0, 1981.0)]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (row(rate="OOM"), "'OOM' is no speed"),
        (row(rate="nan ± nan"), "is no speed"),
        (row(rate="0.00 ± 0.00"), "is no speed"),
        (row(test="pp"), "neither a prompt nor generation"),
        (row().replace("59.02 GiB", "a lot"), "is no size"),
        (row()[20:], "a row that is cut"),
        ("main: error: failed to create context with model 'x.gguf'\n", "no row: main: error"),
        ("CUDA error: out of memory\n", "no row: CUDA error"),
    ],
)
def test_what_is_no_row_is_named_with_its_line(line: str, says: str, tmp_path: Path) -> None:
    taken = take(tmp_path, HEAD + row() + line + row("tg128", "90.00 ± 1.00"))
    assert rates(list(taken.records)) == [("pp512", 0, 1981.0), ("tg128", 0, 90.0)]
    (problem,) = taken.problems
    assert problem.line == 4
    assert says in problem.why


def test_a_row_whose_header_is_gone_is_named(tmp_path: Path) -> None:
    taken = take(tmp_path, row() + row("tg128", "90.00 ± 1.00"))
    assert (list(taken.records), len(taken.problems)) == ([], 2)
    assert "without its header" in taken.problems[0].why


def test_a_table_of_other_columns_is_left_alone(tmp_path: Path) -> None:
    other = "\n| operation | time (us) |\n| --- | ---: |\n| MUL_MAT | 3.8e+08 |\n"
    assert take(tmp_path, HEAD + row() + other).problems == []


def test_a_piece_of_another_line_before_a_row_takes_nothing_from_it(tmp_path: Path) -> None:
    text = HEAD + row()[:60] + row("tg128", "90.00 ± 1.00")
    assert taken_rates(tmp_path, text) == [("tg128", 0, 90.0)]


def test_a_pattern_may_have_bars_in_it(tmp_path: Path) -> None:
    text = (
        "| model | size | params | backend | ngl | ot | test | t/s |\n"
        "| --- | ---: | ---: | --- | --: | --- | ---: | ---: |\n"
        "| gpt-oss 120B | 59.02 GiB | 116.83 B | CUDA | 99 | blk\\.(1|2)\\.ffn_.*=CPU | pp512 | "
        "100.00 ± 1.00 |\n"
    )
    prefixed = "".join(f"bench-1  | {line}\n" for line in text.splitlines())
    for each in (text, prefixed):
        (record,) = take(tmp_path, each).records
        assert record.config["override_tensor"] == r"blk\.(1|2)\.ffn_.*=CPU"


def test_a_rendered_table_is_read_from_its_tabs(tmp_path: Path) -> None:
    text = (
        "model\tsize\tparams\tbackend\tngl\ttest\tt/s\n"
        "llama 7B Q4_0\t3.56 GiB\t6.74 B\tROCm\t99\tpp512\t3000.00 ± 9.00\n"
    )
    (record,) = take(tmp_path, text).records
    assert (record.environment.backend, rates([record])) == ("rocm", [("pp512", 0, 3000.0)])


@pytest.mark.parametrize("between", ["\t", "    "])
def test_ctxprobe_s_values_may_have_tabs_or_blanks_between(between: str, tmp_path: Path) -> None:
    rows = (
        ("context", "result", "peak_vram_mib", "prefill_tps", "generate_tps", "prompt_tokens"),
        ("4096", "ok", "20000", "1000", "50", "2000"),
    )
    text = "the test was fast, in t/s:\n" + "".join(f"{between.join(row)}\n" for row in rows)
    taken = take(tmp_path, text)
    assert rates(list(taken.records)) == [("pp2000", 0, 1000.0), ("tg1", 0, 50.0)]
    assert taken.problems == []


def test_a_page_s_tags_are_no_part_of_a_row(tmp_path: Path) -> None:
    text = f"<pre>{HEAD}{row().rstrip()}</pre>\n"
    assert taken_rates(tmp_path, text) == [("pp512", 0, 1981.0)]


def test_a_batched_table_tells_whether_its_prompt_was_shared(tmp_path: Path) -> None:
    head = (
        "main: n_kv_max = 16384, n_batch = 2048, n_ubatch = 512, flash_attn = 1, "
        "is_pp_shared = {}, n_gpu_layers = 99, n_threads = 8, n_threads_batch = 8\n"
        "|    PP |     TG |    B |   N_KV |   T_PP s | S_PP t/s |   T_TG s | S_TG t/s |      T s |"
        "    S t/s |\n"
        "|-------|--------|------|--------|----------|----------|----------|----------|----------|"
        "----------|\n"
    )
    own = "|   512 |    128 |    4 |   2560 |    0.512 |  4000.00 |    1.280 |   400.00 |    1.792 |  1428.57 |\n"  # noqa: E501
    shared = "|   512 |    128 |    4 |   1024 |    0.128 |  4000.00 |    1.280 |   400.00 |    1.408 |   727.27 |\n"  # noqa: E501
    for text in (head.format(0) + own, head.format(1).replace("is_pp_shared = 1, ", "") + own):
        (record,) = take(tmp_path, text).records
        assert [(t.test, t.n_parallel, t.n_depth) for t in record.timings] == [
            ("pp512", 4, 0),
            ("tg128", 4, 512),
        ]
    (record,) = take(tmp_path, head.format(0).replace("is_pp_shared = 0, ", "") + shared).records
    assert [t.n_parallel for t in record.timings] == [1, 4]
    assert (record.config["n_ctx"], record.config["n_seq_max"]) == (16384, 4)


BENCHY = """\
| model            |         test |    t/s (total) |       t/s (req) |     peak t/s |         ttfr (ms) |
|:-----------------|-------------:|---------------:|----------------:|-------------:|------------------:|
| qwen3.8-27b-bf16 |  pp8192 (c5) | 1118.05 ± 4.52 | 463.80 ± 275.64 |              | 21245.13 ± 895.39 |
| qwen3.8-27b-bf16 |   tg512 (c5) |   17.26 ± 0.05 |     3.85 ± 0.22 | 25.00 ± 0.00 |                   |
| qwen3.8-27b-bf16 | ctx_pp @ d4096 (c1) | 966.28 ± 32.27 | 966.28 ± 32.27 |       |   8493.42 ± 28.33 |
"""  # noqa: E501


def test_a_table_of_llama_benchy_is_of_requests_at_once(tmp_path: Path) -> None:
    (record,) = take(tmp_path, BENCHY).records
    assert (record.origin, record.model.name) == ("llama-benchy", "qwen3.8-27b-bf16")
    assert record.environment.backend == "unknown"
    assert [(t.test, t.n_parallel, t.n_depth) for t in record.timings] == [
        ("pp8192", 5, 0),
        ("tg512", 5, 0),
        ("pp4096", 1, 0),
    ]
    first = record.timings[0]
    assert 5 * 8192 * 1e9 / first.samples_ns[0] == pytest.approx(1118.05)


def test_settings_of_a_fork_are_kept_and_calibrate_nothing(tmp_path: Path) -> None:
    text = (
        "| model | size | params | backend | ngl | sm | rtr | fmoe | test | t/s |\n"
        "| --- | ---: | ---: | --- | --: | --: | --: | --: | ---: | ---: |\n"
        "| gpt-oss 120B | 59.02 GiB | 116.83 B | CUDA | 99 | graph | 1 | 1 | pp512 | "
        "100.00 ± 1.00 |\n"
    )
    (record,) = take(tmp_path, text).records
    assert record.environment.backend == "cuda"
    assert record.conditions.unread == {"split_mode": "graph", "rtr": "1", "fmoe": "1"}
    assert not record.is_calibrating
    assert "split_mode graph" in str(record.why_not_calibrating)


def test_a_record_of_an_older_oomph_comes_in_as_it_is(tmp_path: Path, repository: Path) -> None:
    line = (repository / "tests" / "data" / "record_v1.jsonl").read_text().splitlines()[0]
    foreign = json.dumps(json.loads(line) | {"moon": {"phase": 1}})
    taken = take(tmp_path, foreign + "\n" + line[: len(line) // 2] + "\n")
    (record,) = taken.records
    assert record.model_extra == {"moon": {"phase": 1}}
    assert record == Record.model_validate_json(foreign)
    assert [problem.line for problem in taken.problems] == [2]
    later = json.dumps(json.loads(line) | {"schema_version": 99})
    (problem,) = take(tmp_path, later).problems
    assert "schema_version is 99" in problem.why
