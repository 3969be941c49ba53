"""Claims: how they are read and judged, and that the published file is sound."""

from pathlib import Path

import pytest

from oomph.analysis.claims import GB, Claim, ClaimRun, Rule, judge, judge_rule, read_claims
from oomph.config import RunConfig
from oomph.errors import ConfigError
from oomph.records.schema import Buffers, Environment, MemorySeries, ModelIdentity, Outcome, Record
from oomph.views.claims import claims_summary, claims_table, rules_table
from oomph.views.table import render_markdown


def tried(gb: float | None, **knobs: int) -> ClaimRun:
    config = RunConfig(**knobs)  # type: ignore[arg-type]
    size = round((gb or 0) * GB)
    record = Record(
        record_id="r",
        point_id="p",
        sweep="s",
        label="l",
        started_at="",
        wall_ns=1,
        config=config.to_dict(),
        model=ModelIdentity(name="m", path="m", arch="a", file_bytes=1, header_sha256="0"),
        outcome=Outcome(label="ok") if gb else Outcome(label="oom_compute", short_mib=7.0),
        environment=Environment(
            machine="m", os="o", python="3", cpu="c", cpu_count=1, memory_bytes=1, backend="phantom"
        ),
        buffers=Buffers(
            model_mib={"CUDA0": [1000.0], "CPU_Mapped": [5.0]}, compute_mib={"CUDA_Host": [9.0]}
        ),
        memory=[MemorySeries(probe="nvml", quantity="vram", device="CUDA0", peak_bytes=size)],
    )
    return ClaimRun(config=config, predicted_bytes=size, record=record)


def claim(gb: tuple[float, float] | None = None, *, fits: bool | None = None) -> Claim:
    return Claim(says="so", quantization="Q4_K_M", n_expert_used=8, n_ctx=4096, gb=gb, fits=fits)


@pytest.mark.parametrize(
    ("said", "allocated", "holds", "because"),
    [
        (claim((70, 70)), 70.0, True, "weights 1.0"),
        (claim((70, 70)), 72.0, True, "run time"),
        (claim((70, 70)), 64.1, False, "5.9 GB less"),
        (claim((90, 95)), 100.5, False, "5.5 GB more"),
        (claim((90, 95)), 92.0, True, "KV cache 0.0"),
        (claim((90, 95)), None, False, "7 MiB short"),
        (claim(fits=False), None, True, "oom_compute"),
        (claim(fits=False), 73.8, False, "it runs"),
        (claim(fits=True), 73.8, True, "it runs"),
        (claim(fits=True), None, False, "oom_compute"),
    ],
)
def test_a_claim_is_held_against_what_was_allocated(
    said: Claim, allocated: float | None, holds: bool, because: str
) -> None:
    verdict = judge(said, tried(allocated))
    assert verdict.holds == holds
    assert because in verdict.reason


def rule(varies: str) -> Rule:
    return Rule.model_validate(
        {
            "says": "so",
            "quantization": "Q4_K_M",
            "n_expert_used": [8],
            "n_ctx": [4096],
            "varies": varies,
        }
    )


@pytest.mark.parametrize(
    ("sizes", "holds"),
    [((20.0, 21.0, 23.0), True), ((20.0, 20.0, 20.1), False), ((23.0, 21.0, 24.0), False)],
)
def test_experts_matter_only_where_memory_grows_with_them(
    sizes: tuple[float, ...], holds: bool
) -> None:
    series = [tried(gb, n_expert_used=n) for n, gb in zip((4, 8, 16), sizes, strict=True)]
    assert judge_rule(rule("n_expert_used"), series).holds == holds


@pytest.mark.parametrize(
    ("sizes", "holds"), [((20.0, 21.0, 23.0), True), ((20.0, 25.0, 23.0), False)]
)
def test_a_context_is_linear_where_no_point_is_off_the_line(
    sizes: tuple[float, ...], holds: bool
) -> None:
    series = [tried(gb, n_ctx=n) for n, gb in zip((1024, 2048, 4096), sizes, strict=True)]
    verdict = judge_rule(rule("n_ctx"), series)
    assert verdict.holds == holds
    assert "for each 1,024 tokens" in verdict.reason


def test_the_published_claims_can_be_tried(repository: Path) -> None:
    claims = read_claims(repository / "bench" / "claims" / "qwen3-30b-a3b.toml")
    assert len(claims.claim) == 4
    assert len(list(claims.settings())) == 4
    assert {config.n_ctx for config in claims.configs("BF16")} == {32_768, 90_000, 131_072}
    assert len(set(claims.configs("Q4_K_M"))) == len(claims.configs("Q4_K_M"))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("name = 1 2", "TOML"), ('name = "a"', "model"), ('nam = "a"', "mend that key")],
)
def test_a_file_that_is_wrong_says_where(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "claims.toml").write_text(text)
    with pytest.raises(ConfigError, match=complaint):
        read_claims(tmp_path / "claims.toml")


def test_the_tables_hold_every_figure() -> None:
    each = tried(64.1)
    table = render_markdown(
        claims_table("card", [(claim((70, 70)), each, judge(claim((70, 70)), each))])
    )
    assert "| 70 | 64.1 | 64.1 | no |" in table
    assert claims_summary([(claim((70, 70)), each, judge(claim((70, 70)), each))]) == [
        "so: holds with none of the settings; what runs takes 64.1 to 64.1 GB."
    ]
    rules = render_markdown(rules_table([(rule("n_ctx"), each, judge_rule(rule("n_ctx"), [each]))]))
    assert "too few" in rules
