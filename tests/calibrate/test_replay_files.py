"""What replays have taught is the same in the next process, and a bad file teaches nothing."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from oomph.architectures.catalogue import catalogue_model
from oomph.calibrate import replay_files
from oomph.calibrate.replay_files import ReplayFiles, digest, replay_folder
from oomph.config import RunConfig
from oomph.estimate import replays
from oomph.estimate.estimator import Estimator

KNOBS = ({}, {"n_ctx": 32768}, {"n_gpu_layers": 9}, {"type_k": "q8_0", "n_expert_used": 4})


def answers(files: ReplayFiles | None) -> list[dict[str, object]]:
    model = catalogue_model("qwen3-30b-a3b", "Q4_K_M")
    estimator = Estimator(model, "RTX 4090", store=files)
    return [asdict(estimator.predict(RunConfig().with_(**knobs))) for knobs in KNOBS]


def only_file() -> Path:
    """The file of what decides nothing but by shapes; that of the weights' types is smaller."""
    return max(replay_folder().iterdir(), key=lambda path: path.stat().st_size)


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder where nothing was ever kept."""
    monkeypatch.setenv("OOMPH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def learned(empty_cache: Path) -> list[dict[str, object]]:
    files = ReplayFiles()
    told = answers(files)
    files.save()
    return told


def test_the_next_process_answers_the_same_and_composes_nothing(
    learned: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def composed(*_: object) -> None:
        raise AssertionError("a graph was composed")

    monkeypatch.setattr(replays, "graph_of", composed)
    assert answers(ReplayFiles()) == learned


def test_without_a_store_nothing_is_kept(empty_cache: Path) -> None:
    answers(None)
    assert not replay_folder().exists()


def write_tables(path: Path, body: str) -> None:
    """A file that says the right digest of whatever it holds."""
    path.write_text(f"{replay_files._check(body)}\n{body}\n", encoding="utf-8")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_text("", encoding="utf-8"),
        lambda path: path.write_bytes(os.urandom(2000)),
        lambda path: path.write_text(path.read_text("utf-8")[:-40], encoding="utf-8"),
        lambda path: path.write_text(path.read_text("utf-8").replace("1", "2"), encoding="utf-8"),
        lambda path: path.write_text("[" * 100_000, encoding="utf-8"),
        lambda path: path.unlink(),
        lambda path: (path.unlink(), path.mkdir()),
        lambda path: (path.unlink(), os.mkfifo(path)),
        lambda path: (path.unlink(), path.symlink_to("/dev/zero")),
        lambda path: (path.unlink(), path.symlink_to(path)),
        lambda path: write_tables(path, "[" * 100_000),
        lambda path: write_tables(path, "[1]"),
        lambda path: write_tables(path, '{"packings": [1], "most": 7}'),
    ],
    ids=[
        "empty",
        "noise",
        "cut",
        "changed",
        "deep",
        "gone",
        "folder",
        "fifo",
        "endless",
        "loop",
        "deep and right",
        "list and right",
        "no tables and right",
    ],
)
def test_a_bad_file_teaches_nothing(
    learned: list[dict[str, object]], spoil: Callable[[Path], object]
) -> None:
    spoil(only_file())
    files = ReplayFiles()
    assert answers(files) == learned
    files.save()


@pytest.mark.parametrize("value", [7, "x", [], [[1], 2], {"a": 1}, [["x"], ["y"]]])
def test_a_value_of_another_form_is_replayed_anew(
    learned: list[dict[str, object]], value: object
) -> None:
    path = only_file()
    tables = json.loads(path.read_text("utf-8").splitlines()[1])
    tables["packings"] = dict.fromkeys(tables["packings"], value)
    body = json.dumps(tables)
    write_tables(path, body)
    assert answers(ReplayFiles()) == learned


def test_what_two_processes_learn_at_once_is_kept(empty_cache: Path) -> None:
    model = catalogue_model("qwen3-0.6b", "Q8_0")
    both = [ReplayFiles(), ReplayFiles()]
    for files, n_ctx in zip(both, (4096, 8192), strict=True):
        Estimator(model, "RTX 4090", store=files).memory(RunConfig(n_ctx=n_ctx))
    for files in both:
        files.save()
    tables = json.loads(only_file().read_text("utf-8").splitlines()[1])
    assert len(tables["packings"]) == 4  # a prompt's graph and a token's at each context


def test_a_cache_that_cannot_be_written_is_no_error(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty_cache.mkdir(parents=True, exist_ok=True)
    (empty_cache / "replays").write_text("a file, and no folder", encoding="utf-8")
    files = ReplayFiles()
    answers(files)
    files.save()


def test_files_of_other_versions_and_too_many_go(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = replay_folder().with_name("another")
    other.mkdir(parents=True)
    (other / "old.json").write_text("{}", encoding="utf-8")
    monkeypatch.setattr(replay_files, "MOST_FILES", 1)
    files = ReplayFiles()
    answers(files)
    files.save()
    assert not other.exists()
    assert len(list(replay_folder().iterdir())) == 1


def test_what_a_link_leads_to_is_no_version_to_remove(empty_cache: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine.txt").write_text("keep", encoding="utf-8")
    replay_folder().parent.mkdir(parents=True)
    (replay_folder().parent / "link").symlink_to(elsewhere)
    (replay_folder().parent / "older" / "folder").mkdir(parents=True)
    files = ReplayFiles()
    answers(files)
    files.save()
    assert (elsewhere / "mine.txt").read_text(encoding="utf-8") == "keep"


def test_a_digest_depends_on_all_of_a_key_and_on_no_order() -> None:
    keys: list[object] = [(1, 2), (12,), ("1", 2), (1, (2,)), frozenset({"a", "b"}), None, 1.0, 1]
    assert len({digest(key) for key in keys}) == len(keys)
    assert digest(frozenset({"b", "a"})) == digest(frozenset({"a", "b"}))
