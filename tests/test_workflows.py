"""The workflow files: YAML, scripts that a shell reads, and a release that finds its version."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from oomph import __version__

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def steps(path: Path) -> list[dict[str, Any]]:
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values()
    return [step for job in jobs for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_what_a_step_runs_is_a_shell_script_of_things_that_are_here(path: Path) -> None:
    for step in steps(path):
        assert "run" in step or re.search(r"^[\w-]+/[\w-]+@v\d+$", step["uses"]), step
        script = re.sub(r"\$\{\{.*?\}\}", "x", step.get("run", ""))
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
        for named in re.findall(r"(?<![\w/])(?:scripts|\.ci|bench)/[\w./-]+", script):
            assert (ROOT / named).exists(), named


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_job_may_write_only_where_it_says_so(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert "write" not in workflow["permissions"].values()
    assert all("timeout-minutes" in job for job in workflow["jobs"].values())


@pytest.mark.parametrize(("tag", "code"), [(f"v{__version__}", 0), ("v0.0.1", 1)])
def test_a_release_wants_the_version_s_tag_and_its_changes(
    tag: str, code: int, tmp_path: Path
) -> None:
    (step,) = (
        each
        for each in steps(ROOT / ".github" / "workflows" / "release.yml")
        if each.get("name", "").startswith("The tag is the version")
    )
    for name in ("harness/oomph/__init__.py", "CHANGELOG.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    done = subprocess.run(
        ["bash", "-e", "-c", step["run"]],
        cwd=tmp_path,
        env=os.environ | {"GITHUB_REF_NAME": tag},
        check=False,
    )
    assert done.returncode == code
    if code == 0:
        changes = (tmp_path / "changes.md").read_text(encoding="utf-8")
        assert "### Added" in changes
        assert "## [" not in changes
