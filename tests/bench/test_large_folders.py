"""What large folders are measured on: real records, varied, that every reader takes."""

from pathlib import Path

from bench.large_folders import words_of, write_folder, write_sweep

from oomph.measure.sweep import Sweep
from oomph.records.store import Store


def test_a_varied_record_is_a_record_and_another_point(tmp_path: Path) -> None:
    write_folder(tmp_path / "large", 40)
    records = list(Store(tmp_path / "large").records())
    assert len(records) == 40
    assert len({each.point_id for each in records}) == 40
    assert len({tuple(each.timings[0].samples_ns) for each in records}) == 40
    assert len({str(each.config) for each in records}) == 40


def test_a_sweep_has_as_many_points_as_asked(tmp_path: Path) -> None:
    sweep = Sweep.load(write_sweep(tmp_path, 9_600))
    assert len(sweep.points()) == 9_600


def test_each_command_is_typed_with_its_folder(tmp_path: Path) -> None:
    write_folder(tmp_path / "records-3", 3)
    assert words_of("report", tmp_path, 3)[:2] == ["report", str(tmp_path / "records-3")]
