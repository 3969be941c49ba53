"""What the doctor sees, and what it says of a part that is not there."""

import pytest

from oomph.measure import doctor


def test_every_finding_that_is_not_ok_names_a_remedy() -> None:
    findings = doctor.examine()
    assert {"machine", "llama.cpp build", "cache folder"} <= {finding.name for finding in findings}
    assert all(finding.remedy for finding in findings if finding.state != "ok")


def test_the_llama_build_is_asked_in_a_child() -> None:
    (build,) = [finding for finding in doctor.examine() if finding.name == "llama.cpp build"]
    assert build.state == "ok"
    assert build.detail.startswith(("CPU", "CUDA"))


def test_a_package_that_is_not_installed_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doctor, "PACKAGES", {"no-such-package": "matplotlib"})
    (finding,) = [finding for finding in doctor.examine() if finding.name == "no-such-package"]
    assert (finding.state, finding.remedy) == ("optional", "pip install 'oomph[report]'")


def test_a_program_that_is_not_installed_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    states = {finding.name: finding for finding in doctor.examine()}
    assert states["cc"].state == "optional"
    assert "apt-get" in str(states["npm"].remedy)
