"""A page opens with the answer to its records' question, and says what is in its figures."""

from collections.abc import Callable
from pathlib import Path

import pytest

from oomph.analysis.claims import CLAIMS_FILE, read_claims, runs_of
from oomph.analysis.real_card import RealCard
from oomph.calibrate.result import FitResult
from oomph.errors import OomphError
from oomph.records.schema import Record
from oomph.records.store import read_records
from oomph.records.summary import RecordSummary, summaries_of
from oomph.units import MIB
from oomph.views.claims import judged_claims, write_claims
from oomph.views.headline import evidence
from oomph.views.lead import kind_of, lead_of
from oomph.views.material import Material
from oomph.views.reporting import report_of

Make = Callable[..., Record]


@pytest.fixture
def frontier(make_record: Make) -> list[RecordSummary]:
    """8 and 9 experts run to 4,096 and run out at 4,352; one setting never runs."""
    environment = make_record().environment.model_copy(
        update={"backend": "phantom", "gpus": [{"name": "NVIDIA GeForce RTX 4090"}]}
    )
    changes = {"sweep": "frontier", "environment": environment, "timings": [], "quality": None}
    changes["buffers"] = {"model_mib": {"CUDA0": [94.0]}}
    full = {"outcome": {"label": "oom_runtime"}, "conditions": {"n_filled": 4000}, "buffers": {}}
    records = []
    for experts in (8, 9):
        config = {"n_expert_used": experts, "type_k": "f16"}
        for n_ctx, more in ((4096, {}), (4352, full)):
            name = f"{experts}-{n_ctx}"
            asked = config | {"n_ctx": n_ctx}
            fields = {**changes, **more, "config": asked, "record_id": name, "n_ctx": n_ctx}
            records.append(make_record(n_expert_used=experts, **fields))
    refused = {"outcome": {"label": "bad_config"}, "buffers": {}, "reported": {}}
    config = {"n_expert_used": 8, "n_ctx": 4096, "type_k": "q8_0"}
    records.append(make_record(**{**changes, **refused, "config": config, "record_id": "q"}))
    return summaries_of(records)


def test_a_frontiers_page_says_where_contexts_end_and_that_a_context_of_cuda_is_missing(
    frontier: list[RecordSummary],
) -> None:
    assert kind_of(frontier) == "frontier"
    key = frontier[0].setting
    real = RealCard(n_ctx={(key, 8): 3072, (key, 9): 3328}, context_bytes=442 * MIB)
    lead = lead_of(Material(summaries=frontier, real=real))
    assert lead.headline == (
        "Tiny-8x192 runs full to n_ctx 4,096 on RTX 4090 with type_k f16, without a CUDA context; "
        "beside one 3,072 to 3,328 is predicted"
    )
    assert (
        "Not in them: the CUDA context that a process holds on a real card, about 442 MiB"
        in (lead.basis[0])
    )
    assert "a reserve for a desktop or other programs (0 MiB)" in lead.basis[0]
    (table,) = lead.tables
    rows = [[cell.text for cell in row] for row in table.rows]
    assert ["type_k f16", "8", "4,096", "4,352: full at 4,000 tokens", "3,072"] in rows
    assert ["type_k q8_0", "8", "none runs", "bad_config", "—"] in rows


def test_experts_that_end_alike_share_a_row(frontier: list[RecordSummary]) -> None:
    (table,) = lead_of(Material(summaries=frontier)).tables
    assert [row[1].text for row in table.rows] == ["8, 9", "8"]


def test_a_real_cards_figures_hold_the_context_of_cuda(make_record: Make) -> None:
    environment = make_record().environment.model_copy(
        update={"backend": "cuda", "gpus": [{"name": "NVIDIA H200"}]}
    )
    buffers = {"model_mib": {"CUDA0": [94.0]}}
    lead = lead_of(
        Material(summaries=summaries_of([make_record(environment=environment, buffers=buffers)]))
    )
    assert (
        "all that NVML counts on the card while the model runs, the CUDA context" in (lead.basis[0])
    )


def test_what_was_disturbed_is_never_quoted(make_record: Make) -> None:
    crowded = {"conditions": {"other_processes": [{}]}, "quality": None}
    slow = make_record(n_expert_used=2, **crowded)
    fast = make_record(n_expert_used=8)
    assert not [line for line in evidence(summaries_of([slow, fast]), []) if "with 2" in line]
    both = [slow, make_record(n_expert_used=8, **crowded)]
    said = evidence(summaries_of(both), [])
    assert said[:2] == (
        "Every prefill was disturbed; no speed is quoted.",
        "Every decode was disturbed; no speed is quoted.",
    )


def test_a_calibration_says_its_health_and_what_it_foretells_first(
    records: list[Record], calibration: FitResult
) -> None:
    lead = lead_of(Material(summaries=summaries_of(records), fit=calibration))
    assert lead.evidence[0] == "This calibration can be believed within its intervals."
    assert lead.evidence[1].startswith("Held out: decode off by")
    assert lead.evidence[2].startswith("Fitted: decode off by")
    assert lead.tables[0].columns[1] == "left out: median"


def test_the_cost_of_fewer_experts_is_told_against_the_reference(make_record: Make) -> None:
    def judged(experts: int, shift: float) -> Record:
        text = {"reference": {"n_expert_used": 8}}
        quality = {
            "text": "t",
            "n_tokens": 4,
            "nll_nats": [3.0 + shift, 3.1 + shift, 2.9 + shift, 3.0 + shift],
        }
        fields = {"workload": {"text": text}, "timings": [], "quality": quality}
        return make_record(n_expert_used=experts, record_id=f"q{experts}", **fields)

    summaries = summaries_of([judged(8, 0.0), judged(6, 0.5), judged(4, 2.0)])
    assert kind_of(summaries) == "quality"
    lead = lead_of(Material(summaries=summaries))
    assert lead.headline == (
        "Tiny-8x192: perplexity is 1.65 times the reference’s with 6 active experts, 7.39 times "
        "with 4 active experts"
    )
    russian = lead_of(Material(summaries=summaries), "ru").headline
    assert "в 1.65 раза выше эталонной при 6 active experts" in russian


def test_a_claims_page_leads_with_the_verdicts(repository: Path) -> None:
    folder = repository / "results/phantom/claims-qwen3-30b-a3b"
    kept = (repository / "bench/claims/qwen3-30b-a3b.toml").read_text(encoding="utf-8")
    assert (folder / CLAIMS_FILE).read_text(encoding="utf-8") == kept
    front = report_of([folder]).chapters[0]
    assert front.headline == (
        "Of 6 claims 1 holds whatever the settings, 2 with some of them, 3 not at all"
    )
    verdicts = {row[0].text: row[3].text for row in front.tables[0].rows}
    said = [claim.says for claim in read_claims(folder / CLAIMS_FILE).claim]
    assert verdicts[said[0]] == "holds with flash_attn off, n_ubatch 512 alone"
    assert verdicts["more active experts take more VRAM"] == "does not hold"
    assert [picture.name for picture in front.pictures] == ["claims"]


def test_a_claims_folder_keeps_what_was_claimed(repository: Path, tmp_path: Path) -> None:
    folder = repository / "results/phantom/claims-qwen3-30b-a3b"
    claims = read_claims(folder / CLAIMS_FILE)
    runs = runs_of(claims, read_records([folder]), {})
    judged = judged_claims(claims, runs, "a card")
    page = write_claims(claims, judged, tmp_path, source=folder / CLAIMS_FILE)
    assert page.read_text(encoding="utf-8").startswith("# qwen3-30b-a3b: claims and measurements")
    assert read_claims(tmp_path / CLAIMS_FILE) == claims
    with pytest.raises(OomphError, match="run `oomph claims` to its end"):
        runs_of(claims, [], {})
