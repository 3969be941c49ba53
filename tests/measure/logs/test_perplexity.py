"""llama-perplexity's own output as records: chunks from running figures, and what is none."""

import math
from pathlib import Path

import pytest

from oomph.advise.exchange import import_results
from oomph.errors import StoreError
from oomph.measure.logs.imported import is_log, read_log
from oomph.measure.logs.perplexity import read_scored
from oomph.records.schema import Record
from oomph.records.store import read_records
from oomph.records.summary import RecordSummary

LOADED = (
    "llama_model_loader: loaded meta data with 28 pairs from /m/x.gguf (version GGUF V3)\n"
    "print_info: arch             = llama\n"
    "print_info: general.name     = Tiny\n"
    "load_tensors:   CPU_Mapped model buffer size =    92.63 MiB\n"
    "llama_context: n_ctx         = 2048\n"
    "llama_kv_cache:        CPU KV buffer size =    45.00 MiB\n"
    "sched_reserve:        CPU compute buffer size =   108.25 MiB\n"
)
OVER = "perplexity: calculating perplexity over 3 chunks, n_ctx=512, batch_size=2048, n_seq=4\n"
CHUNKS = "perplexity: 1.53 seconds per pass - ETA 0.01 minutes\n[1]10.0000,[2]12.0000,[3]11.0000,\n"
FINAL = "Final estimate: PPL = 11.0000 +/- 1.06650\n"
DIVERGENCE = """kl_divergence: computing over 2 chunks, n_ctx=512, batch_size=2048, n_seq=4
kl_divergence: 1.20 seconds per pass - ETA 0.00 minutes

chunk             PPL               ln(PPL(Q)/PPL(base))          KL Divergence              Δp RMS            Same top p
   1      10.0000 ±    1.0000       0.00100 ±    0.00100       0.00300 ±    0.00010     1.000 ±  0.100 %    98.000 ±  0.500 %
   2      12.0000 ±    1.0000       0.00200 ±    0.00100       0.00370 ±    0.00010     1.100 ±  0.100 %    97.647 ±  0.500 %

====== Perplexity statistics ======
Mean PPL(Q)                   :  12.000000 ±   1.000000
Mean PPL(base)                :  11.950000 ±   1.000000
Mean PPL(Q)/PPL(base)         :   1.004184 ±   0.002000

====== KL divergence statistics ======
Mean    KLD:   0.003700 ±   0.000100
Maximum KLD:   0.090000

====== Token probability statistics ======
Same top p: 97.647 ±  0.500 %
"""  # noqa: E501 - as it is printed

REAL = """0.01.815.550 I perplexity: tokenizing the input ..
0.01.846.286 I perplexity: tokenization took 30.718 ms
0.01.854.459 I perplexity: calculating perplexity over 3 chunks, n_ctx=256, batch_size=2048, n_seq=8
0.42.772.034 I perplexity: 40.92 seconds per pass - ETA 0.25 minutes
[1]21.4196,[2]16.2580,[3]18.2302,
0.43.238.866 I Final estimate: PPL = 18.2302 +/- 2.49374
"""
"""What llama-perplexity of the pinned build printed of the demo model: 3 chunks of 256 tokens."""
REAL_DIVERGENCE = """0.01.612.619 I kl_divergence: computing over 3 chunks, n_ctx=128, batch_size=2048, n_seq=16
0.20.576.787 I kl_divergence: 18.96 seconds per pass - ETA 0.05 minutes
chunk             PPL               ln(PPL(Q)/PPL(base))          KL Divergence              Δp RMS            Same top p
   1      51.4512 ±   19.1537       0.04811 ±    0.04601       0.05111 ±    0.01321     3.874 ±  0.699 %    92.063 ±  3.433 %
   2      39.3008 ±    9.9905       0.05617 ±    0.03116       0.04890 ±    0.00697     3.987 ±  0.467 %    92.063 ±  2.418 %
   3      30.8635 ±    5.9613       0.05303 ±    0.02532       0.05142 ±    0.00505     4.470 ±  0.487 %    89.418 ±  2.243 %
====== Perplexity statistics ======
Mean PPL(Q)                   :  30.863494 ±   5.961270
Mean PPL(base)                :  29.269354 ±   5.753246
Mean PPL(Q)/PPL(base)         :   1.054464 ±   0.026701
Mean PPL(Q)-PPL(base)         :   1.594140 ±   0.782291
====== KL divergence statistics ======
Mean    KLD:   0.051425 ±   0.005045
Maximum KLD:   0.831914
Median  KLD:   0.038091
====== Token probability statistics ======
RMS Δp    :  4.470 ± 0.487 %
Same top p: 89.418 ± 2.243 %
"""  # noqa: E501 - as it is printed
"""The same of 128 tokens with a q4_0 KV cache, against f16."""


def _log(tmp_path: Path, *parts: str) -> Path:
    path = tmp_path / "ppl.log"
    path.write_text("".join(parts))
    return path


def _only(path: Path) -> Record:
    (record,) = read_log(path)
    return record


def test_each_chunk_is_what_the_running_figures_leave_for_it(tmp_path: Path) -> None:
    """255 tokens of a chunk of 512 are judged: the second half but for its first."""
    scored = read_scored(_log(tmp_path, LOADED, OVER, CHUNKS, FINAL))
    assert scored is not None
    assert scored.n_tokens == 3 * 255
    assert scored.chunk_nats[0] == pytest.approx(255 * math.log(10))
    assert sum(scored.chunk_nats) == pytest.approx(765 * math.log(11))
    assert scored.printed == {"perplexity": 11.0, "perplexity_error": 1.0665}


def test_the_record_has_the_logs_memory_and_the_texts_perplexity(tmp_path: Path) -> None:
    record = _only(_log(tmp_path, LOADED, OVER, CHUNKS, FINAL))
    assert (record.model.name, record.config["n_ctx"]) == ("Tiny", 2048)
    assert record.buffers.kv_cache_mib == {"CPU": [45.0]}
    perplexity = RecordSummary.of(record).perplexity
    assert perplexity is not None
    assert perplexity.value == pytest.approx(11, rel=1e-5)
    assert perplexity.n_tokens == 765
    assert record.workload["llama-perplexity"]["n_chunks"] == 3


def test_standard_output_alone_is_a_record_without_memory(tmp_path: Path) -> None:
    path = _log(tmp_path, OVER, CHUNKS, FINAL)
    assert is_log(path)
    done = import_results([path], tmp_path / "out", model="tiny:Q4_K_M")
    assert done.n_new == 1
    (record,) = read_records([tmp_path / "out"])
    assert (record.model.name, record.config["n_ctx"]) == ("tiny:Q4_K_M", 512)
    assert record.buffers.kv_cache_mib == {}
    assert record.quality is not None
    assert not record.is_calibrating


def test_a_log_that_ends_early_gives_the_chunks_that_it_has(tmp_path: Path) -> None:
    record = _only(_log(tmp_path, LOADED, OVER, "[1]10.0000,[2]12.00"))
    assert record.quality is not None
    assert record.quality.n_tokens == 255
    assert "perplexity" not in record.workload["llama-perplexity"]


def test_the_divergence_is_kept_as_it_is_printed(tmp_path: Path) -> None:
    record = _only(_log(tmp_path, LOADED, DIVERGENCE))
    assert record.quality is not None
    assert record.quality.n_tokens == 510
    assert sum(record.quality.nll_nats) == pytest.approx(510 * math.log(12))
    assert record.quality.n_same_top == 498
    said = record.workload["llama-perplexity"]
    assert (said["divergence_nats"], said["divergence_nats_error"]) == (0.0037, 0.0001)
    assert said["perplexity_ratio"] == 1.004184
    assert record.quality.kl_nats == [], "no token's own divergence was printed"


def test_errors_alone_give_the_whole_without_its_chunks(tmp_path: Path) -> None:
    """The chunks go to standard output, all else to standard error, with times before it."""
    lines = (LOADED + OVER + FINAL).splitlines()
    timed = [f"0.00.{n:03}.123 I {line}\n" for n, line in enumerate(lines, 100)]
    record = _only(_log(tmp_path, *timed))
    perplexity = RecordSummary.of(record).perplexity
    assert perplexity is not None
    assert (round(perplexity.value, 6), perplexity.low, perplexity.n_tokens) == (11.0, None, 765)


def test_an_error_that_is_none_is_left_out(tmp_path: Path) -> None:
    """Two texts that are scored alike have none."""
    alike = DIVERGENCE.replace("1.004184 ±   0.002000", "0.999982 ±       -nan")
    said = _only(_log(tmp_path, LOADED, alike)).workload["llama-perplexity"]
    assert said["perplexity_ratio"] == 0.999982
    assert "perplexity_ratio_error" not in said


def test_what_the_real_program_printed_is_read(tmp_path: Path) -> None:
    """Its own perplexity comes out of the chunks again, to the digits that it prints."""
    plain, compared = (_only(_log(tmp_path, text)) for text in (REAL, REAL_DIVERGENCE))
    for record, n_tokens, printed in ((plain, 3 * 127, 18.2302), (compared, 3 * 63, 30.863494)):
        assert record.quality is not None
        assert record.quality.n_tokens == n_tokens
        mean = sum(record.quality.nll_nats) / n_tokens
        assert math.exp(mean) == pytest.approx(printed, rel=1e-5)
    assert compared.quality is not None
    assert compared.quality.n_same_top == 169, "89.418 % of 189"
    said = compared.workload["llama-perplexity"]
    assert (said["divergence_nats"], said["perplexity_ratio"]) == (0.051425, 1.054464)


def test_many_chunks_on_one_line_are_all_read(tmp_path: Path) -> None:
    chunks = "".join(f"[{n}]{10 + n / 1000:.4f}," for n in range(1, 1001))
    scored = read_scored(_log(tmp_path, OVER.replace("over 3", "over 1000"), chunks))
    assert scored is not None
    assert len(scored.chunk_nats) == 1000


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (FINAL, "not of how long chunks; give what llama-perplexity prints as errors too"),
        (CHUNKS, "not of how long chunks; give what llama-perplexity prints as errors too"),
        (OVER, "tells no chunk of perplexity; let llama-perplexity run further"),
        (OVER + "[1]10.0000,[3]12.0000,", "has chunk 3 where chunk 2 was to come"),
        (OVER + "[1]10.0000,[2]nan,", "the perplexity of chunk 2 is nan, which is none"),
        (OVER.replace("n_ctx=512", "n_ctx=1") + CHUNKS, "3 chunks of n_ctx=1 cannot be"),
    ],
)
def test_what_does_not_fit_is_one_sentence(tmp_path: Path, text: str, why: str) -> None:
    path = _log(tmp_path, text)
    with pytest.raises(StoreError, match=why) as error:
        import_results([path], tmp_path / "out")
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)
