"""Tables cut at any byte, mixed and with prose between: no crash, no row that was not there, and
what is whole is kept."""

import json
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.records.test_tables import HEAD, SWEEP_HEAD, row

from oomph.records.imports import take_records
from oomph.records.schema import Record

Bench = tuple[str, int, float]
"""A test's label, its depth and its rate."""
SWEEP_ROW = "|{pp:6} |{tg:7} |{n_kv:7} |{t_pp:9.3f} |{s_pp:9.2f} |{t_tg:9.3f} |{s_tg:9.2f} |\n"
LAYOUTS = ("md", "csv", "json", "jsonl", "sql")

benches = st.lists(
    st.tuples(
        st.sampled_from(("pp", "tg")),
        st.integers(1, 99_999),
        st.integers(0, 99_999),
        st.integers(1, 10_000_000).map(lambda n: n / 100),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda each: each[:3],
)
prose = st.lists(
    st.sampled_from(
        (
            "", "CUDA error: out of memory", "OOM", "with -fa 1 it's \"faster\":", "```", "> ok",
            "llama_model_load: error loading model", "| note |", "{", "}", "[1, 2", "x | y", "---",
            "ggml_cuda_init: found 1 CUDA devices:", "build: 0c1e570 (9000)", "\x1b[0m", "a,b\tc",
        )
    ),
    max_size=4,
)  # fmt: skip


def as_rows(rows: Sequence[tuple[str, int, int, float]]) -> list[dict[str, Any]]:
    """Rows as llama-bench's JSON has them."""
    return [
        {
            "build_commit": "0c1e570",
            "build_number": 9000,
            "backends": "CUDA",
            "gpu_info": "NVIDIA GeForce RTX 5090",
            "model_filename": "m.gguf",
            "model_type": "llama 7B Q4_0",
            "model_size": 3822000000,
            "model_n_params": 6740000000,
            "n_prompt": n if kind == "pp" else 0,
            "n_gen": n if kind == "tg" else 0,
            "n_depth": depth,
            "avg_ts": rate,
        }
        for kind, n, depth, rate in rows
    ]


def rendered(rows: Sequence[tuple[str, int, int, float]], layout: str) -> list[str]:
    """The lines of a table, its header's among them, each with its end."""
    if layout == "md":
        told = (f"{kind}{n}" + (f" @ d{depth}" if depth else "") for kind, n, depth, _ in rows)
        body = [row(test, f"{each[3]:.2f} ± 0.10") for test, each in zip(told, rows, strict=True)]
        return [*HEAD.splitlines(keepends=True), *body]
    found = as_rows(rows)
    names = list(found[0])
    if layout == "csv":
        body = [",".join(f'"{each[name]}"' for name in names) + "\n" for each in found]
        return [",".join(names) + "\n", *body]
    if layout == "sql":
        return [
            f"INSERT INTO llama_bench ({', '.join(names)}) VALUES "
            f"({', '.join(repr(str(each[name])) for name in names)});\n"
            for each in found
        ]
    if layout == "jsonl":
        return [json.dumps(each) + "\n" for each in found]
    return (json.dumps(found, indent=2) + "\n").splitlines(keepends=True)


def benches_of(rows: Sequence[tuple[str, int, int, float]]) -> Counter[Bench]:
    return Counter((f"{kind}{n}", depth, rate) for kind, n, depth, rate in rows)


def seen(data: bytes) -> Counter[Bench]:
    """The tests that a file of these bytes gives."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cut"
        path.write_bytes(data)
        records: Sequence[Record] = take_records(path).records
    return Counter(
        (timing.test, timing.n_depth, round(timing.n_tokens * 1e9 / timing.samples_ns[0], 2))
        for record in records
        for timing in record.timings
    )


def close(one: Counter[Bench], other: Counter[Bench]) -> bool:
    """Whether each of the first is in the second: a nanosecond rounds a rate."""
    left = list(other.elements())
    for test, depth, rate in one.elements():
        like = (
            each
            for each in left
            if each[:2] == (test, depth) and abs(each[2] - rate) <= 0.011 + rate * rate * 1e-9
        )
        found = next(like, None)
        if found is None:
            return False
        left.remove(found)
    return True


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(benches, st.sampled_from(LAYOUTS), st.data())
def test_a_table_cut_at_any_byte_keeps_its_whole_rows(
    rows: list[tuple[str, int, int, float]], layout: str, data: st.DataObject
) -> None:
    lines = rendered(rows, layout)
    whole = "".join(lines).encode()
    at = data.draw(st.integers(0, len(whole)))
    found = seen(whole[:at])
    assert close(found, benches_of(rows))
    if layout != "json":
        n_whole = whole[:at].count(b"\n") - (len(lines) - len(rows))
        assert close(benches_of(rows[: max(n_whole, 0)]), found)
    if at == len(whole):
        assert close(benches_of(rows), found)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(benches, benches, st.sampled_from(LAYOUTS), st.sampled_from(LAYOUTS), prose, st.data())
def test_two_tables_one_cut_with_prose_between_give_their_rows_alone(
    rows: list[tuple[str, int, int, float]],
    others: list[tuple[str, int, int, float]],
    layout: str,
    other: str,
    between: list[str],
    data: st.DataObject,
) -> None:
    first = "".join(rendered(rows, layout))
    at = data.draw(st.integers(0, len(first)))
    second = "".join(rendered(others, other))
    is_direct = data.draw(st.booleans())
    text = first[:at] + second if is_direct else "\n".join([first[:at], *between, second])
    found = seen(text.encode())
    assert close(found, benches_of(rows) + benches_of(others))
    assert is_direct or close(benches_of(others), found)


@settings(max_examples=100, deadline=None)
@given(benches, prose, st.sampled_from(("\n", "\r\n")), st.data())
def test_prose_between_rows_takes_none_away(
    rows: list[tuple[str, int, int, float]], between: list[str], end: str, data: st.DataObject
) -> None:
    lines = [line.rstrip("\n") for line in rendered(rows, "md")]
    for each in between:
        lines.insert(data.draw(st.integers(2, len(lines))), each)
    assert close(benches_of(rows), found := seen(end.join([*lines, ""]).encode()))
    assert close(found, benches_of(rows))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 4096), st.integers(1, 512), st.integers(1, 10**6)),
        min_size=1,
        max_size=6,
    ),
    st.data(),
)
def test_a_sweep_cut_at_any_byte_gives_no_other_row(
    steps: list[tuple[int, int, int]], data: st.DataObject
) -> None:
    tests: Counter[Bench] = Counter()
    text = SWEEP_HEAD
    for at, (n_prompt, n_gen, hundredths) in enumerate(steps):
        speed = hundredths / 100
        tests.update([(f"pp{n_prompt}", 512 * at, speed), (f"tg{n_gen}", 512 * at, speed)])
        text += SWEEP_ROW.format(
            pp=n_prompt,
            tg=n_gen,
            n_kv=512 * at,
            t_pp=n_prompt / speed,
            s_pp=speed,
            t_tg=n_gen / speed,
            s_tg=speed,
        )
    cut = data.draw(st.integers(0, len(text)))
    assert close(seen(text[:cut].encode()), tests)
    assert close(tests, seen(text.encode()))


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400), benches)
def test_bytes_before_a_table_take_nothing_from_it(
    noise: bytes, rows: list[tuple[str, int, int, float]]
) -> None:
    table = "".join(rendered(rows, "md")).encode()
    if b"\x00" in noise or noise[:2] in (b"\xff\xfe", b"\xfe\xff"):
        noise = b"?"  # another encoding than the table's
    assert close(benches_of(rows), seen(noise + b"\n" + table))


def test_a_database_that_is_cut_ends_in_a_word(tmp_path: Path) -> None:
    path = tmp_path / "bench.sqlite"
    connection = sqlite3.connect(path)
    lines = rendered([("pp", n, 0, 100.0) for n in range(1, 400)], "sql")
    names = lines[0].partition("(")[2].partition(")")[0]
    connection.executescript(
        f"CREATE TABLE test ({names});" + "".join(lines).replace("llama_bench", "test")
    )
    connection.close()
    assert sum(seen(path.read_bytes()).values()) == 399
    for n_bytes in (20, 100, 4096, path.stat().st_size // 2):
        cut = tmp_path / "cut.sqlite"
        cut.write_bytes(path.read_bytes()[:n_bytes])
        taken = take_records(cut)
        assert taken.problems
        assert sum(len(record.timings) for record in taken.records) < 399


@pytest.mark.parametrize(
    "data",
    [b"[" * 500_000, b'{"a":' * 100_000, b"{}" * 100_000, b"|" * 500_000, b'"\\' * 200_000,
     b"| model | test | t/s |\n" * 20_000, b"INSERT INTO t (n_prompt, n_gen) VALUES (" * 5_000,
     b"CREATE TABLE x (" * 20_000, b"'" * 500_000, b">" * 500_000, b"Device 0: " * 50_000,
     b"{\"a\": \"" * 50_000],
    ids=range(12),
)  # fmt: skip
def test_nothing_takes_long(data: bytes) -> None:
    started = time.process_time()
    assert seen(data) == Counter()
    assert time.process_time() - started < 5


def test_of_too_many_rows_the_first_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("reader", "objects", "sql"):
        monkeypatch.setattr(f"oomph.records.tables.{module}.MAX_ROWS", 5)
    rows = [("pp", n, 0, 100.0) for n in range(1, 10)]
    for layout in LAYOUTS:
        path = tmp_path / layout
        path.write_text("".join(rendered(rows, layout)))
        taken = take_records(path)
        assert sum(len(record.timings) for record in taken.records) == 5
        assert "more than 5 rows" in taken.problems[0].why
