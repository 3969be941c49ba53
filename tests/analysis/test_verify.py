"""The estimate against what llama.cpp counts: what differs, what cannot be asked."""

from pathlib import Path

import pytest

from oomph.analysis.verify import Difference, Verified, figures, verify
from oomph.analysis.verifying import Asked, verify_asked
from oomph.architectures.catalogue import catalogue_model
from oomph.config import RunConfig
from oomph.errors import ConfigError, ToolchainError
from oomph.estimate.memory import MemoryModel
from oomph.measure.dry_run import Counted, Llama
from oomph.units import MIB
from oomph.views.verify import summary_line, verified_line

MOVED = Difference(part="CPU compute", predicted_mib=100.0, counted_mib=128.0)


def test_each_figure_stands_beside_what_was_counted() -> None:
    model = catalogue_model("smollm2-135m", "Q8_0")
    estimate = MemoryModel(model).estimate(RunConfig(n_ctx=512, n_devices=0))
    device = estimate.devices["CPU"]
    cache_mib = device.kv_cache_bytes / MIB
    counted = Counted(compute_mib={"CPU": 1.0}, recurrent_mib={}, kv_cache_mib=cache_mib)
    compute, cache = figures(estimate, counted)
    assert compute.predicted_mib == device.compute_bytes / MIB
    assert cache.predicted_mib == cache.counted_mib


def test_the_lines_say_what_is_exact_and_what_moved() -> None:
    exact = Verified(model="a", n_figures=4)
    moved = Verified(model="b", n_figures=4, differences=(MOVED,))
    failed = Verified(model="c", failed="it is no model")
    assert moved.compute_share == pytest.approx(0.28)
    assert verified_line(exact) == "ok  a: all 4 figures exact"
    assert "predicted 100.00 MiB, counted 128.00 MiB (off by 28.0 %)" in verified_line(moved)
    assert verified_line(failed) == "--  c: it is no model"
    assert summary_line([exact, moved, failed], "b1") == (
        "b1: 7 of 8 figures of 2 models are exact; compute buffers ± 28.0 %; 1 could not be asked"
    )
    assert summary_line([failed], "b1") == "b1: no model could be asked"


def test_options_that_exclude_each_other_and_builds_that_never_were_are_refused() -> None:
    library, header = Path("libllama.so"), Path("llama.h")
    with pytest.raises(ConfigError, match="--library needs its --header"):
        Asked.of(None, library, None, build=None, phantom=None)
    with pytest.raises(ConfigError, match="no build 99999"):
        Asked.of(None, library, header, build=99_999, phantom=None)
    with pytest.raises(ToolchainError, match="cannot be run"):
        Asked.of(Path("/nowhere"), None, None, build=None, phantom=None)


def test_a_bound_is_kept_of_a_build_that_is_not_known_to_be_exact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OOMPH_CACHE", str(tmp_path / "cache"))
    found = [Verified(model="b", n_figures=4, differences=(MOVED,))]
    assert Asked(what="", build=12_000, llama=Llama()).keep(found)
    assert Asked(what="", build=11_330, llama=Llama()).keep(found) is None
    assert Asked(what="", build=None, llama=Llama()).keep(found) is None
    assert Asked(what="", build=12_000, llama=Llama()).keep([]) is None


@pytest.mark.llama
def test_the_installed_wheel_counts_what_is_predicted() -> None:
    asked = Asked.of(None, None, None, build=None, phantom=None)
    small, missing = verify_asked(asked, ("smollm2-135m", "/nowhere.gguf"))
    assert small == Verified(model="smollm2-135m", n_figures=4)
    assert "does not exist" in missing.failed


def test_a_program_that_is_no_server_is_one_sentence() -> None:
    asked = Asked.of(Path("/bin/ls"), None, None, build=None, phantom=None)
    (found,) = verify_asked(asked, ("smollm2-135m",))
    assert "is no llama-server, or did not load the model" in found.failed


def test_a_model_is_asked_of_a_library_that_does_not_load(tmp_path: Path) -> None:
    header = tmp_path / "llama.h"
    header.write_text("nothing")
    (found,) = verify(["smollm2-135m"], llama=Llama(library=header, header=header), build=None)
    assert "the header has no struct llama_model_params" in found.failed
