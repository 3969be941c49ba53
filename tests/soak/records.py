"""Foreign records, calibrations, results of other tools, sweeps and configurations, changed."""

import json
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Final

from tests.soak.case import Case, Part, mutated_bytes, with_changes, wrong_numbers

from oomph.advise.exchange import import_results
from oomph.analysis.paired_runs import compare_runs
from oomph.cli.knobs import read_configs
from oomph.config import RunConfig
from oomph.estimate.coefficients import default_coefficients, read_coefficients
from oomph.estimate.estimator import Estimator
from oomph.gpus import gpu
from oomph.measure.sweep import Sweep
from oomph.programs.said import Said
from oomph.records.exports import llama_bench_rows, write_rows
from oomph.records.frames import to_frame, write_frame
from oomph.records.schema import Record
from oomph.records.share import contents, render_share, write_share
from oomph.records.store import Store
from oomph.records.training_rows import training_rows
from oomph.views.differences import comparison_lines, comparison_tables
from oomph.views.differences_page import render_comparison
from oomph.views.estimates import prediction_json
from oomph.views.report import render_report_markdown
from oomph.views.reporting import report_on

ROOT: Final = Path(__file__).parents[2]
BENCH: Final = {
    "build_commit": "961660b8c", "build_number": 6910, "cpu_info": "x", "gpu_info": "RTX 3090",
    "backends": "CUDA", "model_filename": "m.gguf", "model_type": "qwen3 0.6B Q4_K - Medium",
    "model_size": 397000000, "model_n_params": 596000000, "n_batch": 2048, "n_ubatch": 512,
    "type_k": "f16", "type_v": "f16", "n_gpu_layers": 99, "flash_attn": True, "n_prompt": 512,
    "n_gen": 0, "n_depth": 0, "test_time": "2026-01-01T00:00:00Z", "avg_ts": 5000.0,
    "samples_ns": [102400000], "samples_ts": [5000.0], "tensor_split": "0.00",
}  # fmt: skip
SQL: Final = (
    "CREATE TABLE llama_bench (n_prompt INTEGER);\nINSERT INTO llama_bench (n_prompt) VALUES (512);"
)
HOSTILE_SQL: Final = (
    "CREATE TABLE llama_bench AS WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM r) "
    "SELECT x FROM r; -- INSERT INTO",
    "ATTACH '/tmp/x' AS y; -- INSERT INTO",
    "INSERT INTO llama_bench VALUES (zeroblob(2000000000));",
    "CREATE VIEW llama_bench AS SELECT 1; -- INSERT INTO",
)
SWEEP: Final = """name = "x"
model = "m.gguf"
[config]
n_ctx = 4096
[axes]
n_ctx = {first = 1024, last = 8192, step = 1024}
type_k = ["f16", "q8_0"]
[measure]
n_prompt = 128
"""


@cache
def _record() -> str:
    return (ROOT / "tests" / "data" / "record_v1.jsonl").read_text(encoding="utf-8").splitlines()[0]


@cache
def _calibration() -> str:
    return default_coefficients().to_json()


def _changed(text: str, source: Random) -> bytes:
    if source.random() < 0.02:
        return source.choice((b"[", b'{"a":')) * 100_000
    if source.random() < 0.2:
        return mutated_bytes(text.encode(), source)
    return json.dumps(with_changes(json.loads(text), source)).encode()


def make(source: Random) -> Case:
    """One file of one kind, changed."""
    kind = source.choice(("record", "pair", "calibration", "import", "sql", "sweep", "config"))
    if kind in ("record", "pair"):
        return Case(kind, _record().encode() + b"\n" + _changed(_record(), source) + b"\n")
    if kind == "calibration":
        return Case(kind, _changed(_calibration(), source))
    if kind == "import":
        return Case(kind, _changed(json.dumps([BENCH, BENCH]), source))
    if kind == "sql":
        plain = mutated_bytes(SQL.encode(), source)
        return Case(kind, source.choice((*map(str.encode, HOSTILE_SQL), plain, plain, plain)))
    if kind == "sweep":
        return Case(kind, mutated_bytes(SWEEP.encode(), source))
    return Case(kind, _changed(json.dumps(RunConfig().to_dict()), source))


def attempt(case: Case, folder: Path) -> str | None:
    """Read the file as the command does that takes it, and render what follows from it."""
    path = folder / f"file.{'toml' if case.kind == 'sweep' else 'json'}"
    path.write_bytes(case.data)
    found: Any = ()
    if case.kind == "record":
        (folder / "records.jsonl").write_bytes(case.data)
        render_report_markdown(report_on(list(Store(folder).records())))
    elif case.kind == "pair":
        (folder / "records.jsonl").write_bytes(case.data)
        _handed_on(list(Store(folder).records()), folder)
    elif case.kind == "calibration":
        estimator = Estimator(
            "qwen3-0.6b:Q4_K_M", gpu("RTX 4090"), coefficients=read_coefficients(path)
        )
        found = prediction_json(estimator.predict(RunConfig(), longest=False))
    elif case.kind == "config":
        list(read_configs(path, Said()))
    elif case.kind == "sweep":
        Sweep.load(path).points()
    else:
        import_results([path], folder / "results")
    wrong = list(wrong_numbers(found))
    return wrong[0] if wrong else None


def _handed_on(records: list[Record], folder: Path) -> None:
    """The records held against the one that nothing was changed in, and given to other programs in
    each form."""
    unchanged = [Record.model_validate_json(_record())]
    found = compare_runs(unchanged, records[1:] or unchanged)
    comparison_tables(found, threshold=0.01)
    comparison_lines(found, threshold=0.01, said="1%")
    render_comparison(found, before="before", after="after", threshold=0.01, said="1%")
    write_frame(to_frame(records), folder / "records.csv")
    for suffix in (".csv", ".sqlite", ".jsonl"):
        write_rows(list(llama_bench_rows(records)), folder / f"rows{suffix}")
    list(training_rows(records))
    contents(records)
    shared = folder / "shared.jsonl"
    write_share(render_share(records), shared)
    import_results([shared], folder / "taken")


RECORDS: Final = Part(usual=1_000, make=make, attempt=attempt)
