"""A model's file that is swapped, touched or removed while a sweep runs: no record under the wrong
name."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from oomph.errors import ModelFileError
from oomph.gguf.header import read_gguf
from oomph.measure.executors import LocalExecutor
from oomph.measure.model_files import ModelFiles
from oomph.measure.runner import Runner
from oomph.measure.sweep import Sweep
from oomph.records.environment import read_environment
from oomph.records.store import Store


@pytest.fixture
def model(tiny_moe: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(tiny_moe, tmp_path / "model.gguf"))


def _renamed(model: Path, text: bytes = b"tiny", other: bytes = b"TINY") -> None:
    """Another model of the same size takes the name, as an editor or a download does."""
    new = model.with_suffix(".new")
    new.write_bytes(model.read_bytes().replace(text, other, 1))
    new.replace(model)


def _same_time(model: Path) -> None:
    """Written over in place, with its old size, time and inode: only the header tells."""
    before = model.stat()
    with model.open("r+b") as file:
        data = file.read()
        file.seek(data.index(b"tiny"))
        file.write(b"TINY")
    os.utime(model, ns=(before.st_atime_ns, before.st_mtime_ns))


def _grown(model: Path) -> None:
    with model.open("ab") as file:
        file.write(b"0")


CHANGES = {
    "renamed": (_renamed, "is another file than when"),
    "same time": (_same_time, "has another header than when"),
    "grown": (_grown, "is another file than when"),
    "removed": (Path.unlink, r"cannot be read any more \(No such file"),
}


@pytest.mark.parametrize(("change", "says"), CHANGES.values(), ids=CHANGES.keys())
def test_any_change_is_told(model: Path, change: Callable[[Path], None], says: str) -> None:
    files = ModelFiles.of(model, read_gguf(model))
    files.check_all()
    change(model)
    with pytest.raises(ModelFileError, match=rf"model\.gguf {says}"):
        files.check_all()


def test_every_part_of_a_split_model_is_watched(tmp_path: Path, tiny_moe: Path) -> None:
    header = read_gguf(tiny_moe)
    parts = [tmp_path / f"m-0000{number}-of-00002.gguf" for number in (1, 2)]
    for part in parts:
        shutil.copy(tiny_moe, part)
    split = replace(header, metadata={**header.metadata, "split.count": 2})
    files = ModelFiles.of(parts[0], split)
    files.check_all()
    parts[1].unlink()
    with pytest.raises(ModelFileError, match="00002-of-00002"):
        files.check_all()


@pytest.mark.parametrize(("change", "says"), CHANGES.values(), ids=CHANGES.keys())
def test_a_sweep_ends_before_it_measures_the_wrong_model(
    model: Path,
    tmp_path: Path,
    speaker: Callable[[str], Path],
    change: Callable[[Path], None],
    says: str,
) -> None:
    sweep = Sweep.parse(
        f'name = "t"\nmodel = "{model}"\nfresh_process = true\naxes.n_ctx = [256, 512, 1024]'
    )
    worker = speaker("load()\nfor point in points(): measured(point)\n")
    runner = Runner(
        Store(tmp_path / "out"), LocalExecutor(worker=[str(worker)]), environment=read_environment()
    )

    def run() -> Iterator[str]:
        for record in runner.run(sweep):
            yield record.label
            change(model)

    with pytest.raises(ModelFileError, match=rf"model\.gguf {says}.*start the sweep again"):
        list(run())
    assert [record.label for record in Store(tmp_path / "out").records()] == ["n_ctx=256"]


def test_one_that_is_swapped_while_it_loads_leaves_no_record(
    model: Path, tmp_path: Path, speaker: Callable[[str], Path]
) -> None:
    sweep = Sweep.parse(f'name = "t"\nmodel = "{model}"\naxes.n_ctx = [256, 512]')
    swaps = f"os.replace({str(shutil.copy(model, tmp_path / 'other'))!r}, {str(model)!r})"
    worker = speaker(f"{swaps}\nload()\nfor point in points(): measured(point)\n")
    runner = Runner(
        Store(tmp_path / "out"), LocalExecutor(worker=[str(worker)]), environment=read_environment()
    )
    with pytest.raises(ModelFileError, match="is another file"):
        list(runner.run(sweep))
    assert list(Store(tmp_path / "out").records()) == []


@pytest.mark.llama
def test_the_command_ends_with_a_sentence_and_exit_2(model: Path, tmp_path: Path) -> None:
    """The real worker, and a model that is taken away after the first record."""
    spec = tmp_path / "sweep.toml"
    spec.write_text(
        f'name = "t"\nmodel = "{model}"\nfresh_process = true\naxes.n_ctx = [256, 512, 1024]\n'
        "[measure]\nn_prompt = 8\nn_gen = 1\n"
    )
    command = [
        sys.executable,
        "-c",
        "from oomph.cli import main; main()",
        "sweep",
        str(spec),
        "--out",
    ]
    with subprocess.Popen(
        [*command, str(tmp_path / "out")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as sweep:
        assert sweep.stdout is not None
        for line in sweep.stdout:
            if line.startswith("[1/3]"):
                model.unlink()
                break
        _, said = sweep.communicate()
    assert sweep.returncode == 2
    assert said.startswith(f"oomph: {model} cannot be read any more")
    assert len(said.splitlines()) == 1
    assert len(list(Store(tmp_path / "out").records())) in (1, 2)
