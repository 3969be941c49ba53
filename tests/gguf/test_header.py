"""The header reader against files that the gguf package wrote, and against files that are wrong."""

import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import gguf
from oomph.errors import ModelFileError
from oomph.gguf.bounded_reader import MAX_HEADER_BYTES, TruncatedHeaderError
from oomph.gguf.header import KEPT_ARRAY, SkippedArray, parse_header, part_names, read_gguf

U32, STRING, ARRAY, U64 = 4, 8, 9, 10


def text(value: str | bytes) -> bytes:
    """A GGUF string: its length, then its bytes."""
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def header(
    *,
    metadata: bytes = b"",
    n_metadata: int = 0,
    tensors: bytes = b"",
    n_tensors: int = 0,
    version: int = 3,
) -> bytes:
    """A little-endian header of hand-made parts."""
    return b"GGUF" + struct.pack("<IQQ", version, n_tensors, n_metadata) + metadata + tensors


def tensor(name: str, ne: list[int], number: int, offset: int) -> bytes:
    """A tensor info as the file has it."""
    return text(name) + struct.pack(f"<I{len(ne)}QIQ", len(ne), *ne, number, offset)


def metadata(key: str, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def test_reads_what_the_gguf_package_reads(small_model: Path) -> None:
    ours, theirs = read_gguf(small_model), gguf.GGUFReader(small_model)
    assert (ours.version, ours.big_endian, ours.n_parts) == (3, False, 1)
    assert ours.data_offset == theirs.data_offset
    assert ours.file_bytes == small_model.stat().st_size
    assert [t.name for t in ours.tensors] == [t.name for t in theirs.tensors]
    for mine, other in zip(ours.tensors, theirs.tensors, strict=True):
        assert mine.ne == tuple(int(n) for n in other.shape)
        assert mine.quant.number == other.tensor_type
        assert (mine.n_elements, mine.n_bytes) == (other.n_elements, other.n_bytes)
        assert ours.data_offset + mine.offset == other.data_offset
    for key, value in ours.metadata.items():
        if not isinstance(value, SkippedArray):
            contents = theirs.fields[key].contents()
            assert value == (tuple(contents) if isinstance(contents, list) else contents), key


def test_vocabulary_is_counted_and_not_kept(small_model: Path) -> None:
    tokens = read_gguf(small_model).metadata["tokenizer.ggml.tokens"]
    assert tokens == SkippedArray(element_type=STRING, count=48)


def test_numbers_are_kept_up_to_a_length(tmp_path: Path) -> None:
    def array(count: int) -> bytes:
        return struct.pack("<IQ", U32, count) + struct.pack(f"<{count}I", *range(count))

    data = header(
        n_metadata=2,
        metadata=metadata("kept", ARRAY, array(KEPT_ARRAY))
        + metadata("long", ARRAY, array(KEPT_ARRAY + 1)),
    )
    read = parse_header(data, name="x").metadata
    assert read["kept"] == tuple(range(KEPT_ARRAY))
    assert read["long"] == SkippedArray(element_type=U32, count=KEPT_ARRAY + 1)


def test_big_endian_file_says_the_same(
    small_model: Path, make_model: Callable[..., Path], tmp_path: Path
) -> None:
    big = read_gguf(make_model(tmp_path / "big.gguf", endianess=gguf.GGUFEndian.BIG))
    little = read_gguf(small_model)
    assert big.big_endian
    assert big.metadata == little.metadata
    assert big.tensors == little.tensors


def test_version_2_is_read_and_others_are_named() -> None:
    assert parse_header(header(version=2), name="x").version == 2
    for version in (0, 1, 4):
        with pytest.raises(ModelFileError, match=f"GGUF version {version}.* at byte 4"):
            parse_header(header(version=version), name="x")


@pytest.mark.parametrize("quant", [q for q in gguf.GGMLQuantizationType if q.name != "Q8_1"])
def test_every_tensor_type_has_its_size(quant: gguf.GGMLQuantizationType, tmp_path: Path) -> None:
    block, block_bytes = gguf.GGML_QUANT_SIZES[quant]
    data = header(n_tensors=1, tensors=tensor("t", [4 * block, 3], int(quant), 0))
    (info,) = parse_header(data, name="x", file_bytes=1 << 20).tensors
    assert info.n_bytes == 12 * block_bytes


class TestSplit:
    @pytest.fixture
    def parts(self, tmp_path: Path) -> list[Path]:
        writer = gguf.GGUFWriter(tmp_path / "m.gguf", "llama", split_max_tensors=2)
        writer.add_block_count(1)
        for i in range(5):
            writer.add_tensor(f"t{i}", np.zeros(32 * (i + 1), dtype=np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return sorted(tmp_path.glob("m-*.gguf"))

    def test_any_part_stands_for_all(self, parts: list[Path]) -> None:
        assert len(parts) == 3
        whole = read_gguf(parts[0])
        assert [t.name for t in whole.tensors] == [f"t{i}" for i in range(5)]
        assert whole.n_parts == 3
        assert whole.file_bytes == sum(part.stat().st_size for part in parts)
        assert read_gguf(parts[2]) == whole

    def test_missing_part_is_named(self, parts: list[Path]) -> None:
        parts[1].unlink()
        with pytest.raises(ModelFileError, match=r"m-00002-of-00003\.gguf does not exist"):
            read_gguf(parts[0])

    def test_renamed_part_says_how_it_is_called(self, parts: list[Path]) -> None:
        other = parts[0].rename(parts[0].with_name("renamed.gguf"))
        with pytest.raises(ModelFileError, match=r"one of 3 parts.*-00001-of-00003.gguf"):
            read_gguf(other)

    def test_whole_file_is_its_only_part(self, small_model: Path) -> None:
        assert part_names(read_gguf(small_model), "small.gguf") == ["small.gguf"]


class TestPrefix:
    def test_prefix_of_a_far_file_asks_for_more_until_it_is_whole(self, small_model: Path) -> None:
        data, total = small_model.read_bytes(), small_model.stat().st_size
        fetched, more = [4], True
        while more:
            needed = self.needed(data[: fetched[-1]], total)
            more = needed is not None
            fetched += [needed] if needed is not None else []
        assert len(fetched) > 10
        assert fetched == sorted(set(fetched))
        assert (
            parse_header(data[: fetched[-1]], name="far", file_bytes=total).tensors
            == read_gguf(small_model).tensors
        )

    @staticmethod
    def needed(prefix: bytes, total: int) -> int | None:
        try:
            parse_header(prefix, name="far", file_bytes=total)
        except TruncatedHeaderError as error:
            return error.needed_bytes
        return None

    def test_whole_but_short_file_is_malformed_not_truncated(self, small_model: Path) -> None:
        with pytest.raises(ModelFileError, match=r"the file ends inside .* at byte") as caught:
            parse_header(small_model.read_bytes()[:200], name="short")
        assert not isinstance(caught.value, TruncatedHeaderError)


NESTED = metadata("k", ARRAY, struct.pack("<IQ", ARRAY, 1) + struct.pack("<IQ", U32, 0))
MALFORMED = {
    "magic": (b"GGML" + header()[4:], "no GGUF magic at byte 0"),
    "empty": (b"", "the file ends inside the magic"),
    "many tensors": (header(n_tensors=2**63), "not plausible at byte 8"),
    "many keys": (header(n_metadata=2**63), "not plausible at byte 8"),
    "more than fit": (
        header(n_tensors=1000),
        "the file ends inside 0 metadata keys and 1000 tensors.* at byte 8",
    ),
    "huge key": (
        header(n_metadata=1, metadata=struct.pack("<Q", 2**63) + b"x" * 64),
        "ends inside a metadata key",
    ),
    "huge string": (
        header(n_metadata=1, metadata=metadata("k", STRING, struct.pack("<Q", 2**63) + b"x" * 64)),
        "inside the value of 'k' .9223372036854775808 bytes wanted, 64 left. at byte 37",
    ),
    "huge strings": (
        header(
            n_metadata=1,
            metadata=metadata("k", ARRAY, struct.pack("<IQQ", STRING, 2, 2**64 - 1) + b"x" * 64),
        ),
        "inside the strings of 'k'",
    ),
    "many strings": (
        header(
            n_metadata=1,
            metadata=metadata("k", ARRAY, struct.pack("<IQ", STRING, 2**62) + b"\0" * 64),
        ),
        "inside the strings of 'k'",
    ),
    "many numbers": (
        header(
            n_metadata=1, metadata=metadata("k", ARRAY, struct.pack("<IQ", U64, 2**61) + b"\0" * 64)
        ),
        "inside the array 'k'",
    ),
    "nested array": (
        header(n_metadata=1, metadata=NESTED),
        "'k' is an array of type 9, .*nested at byte 37",
    ),
    "value type": (
        header(n_metadata=1, metadata=metadata("k", 13, b"1234")),
        "'k' has the value type 13",
    ),
    "twice the key": (
        header(n_metadata=2, metadata=metadata("k", U32, b"1234") * 2),
        "'k' is there twice at byte 41",
    ),
    "no key": (
        header(n_metadata=1, metadata=metadata("", U32, b"1234")),
        "a metadata key is empty",
    ),
    "alignment": (
        header(n_metadata=1, metadata=metadata("general.alignment", U32, struct.pack("<I", 48))),
        "general.alignment is 48",
    ),
    "dimensions": (header(n_tensors=1, tensors=tensor("t", [1] * 5, 0, 0)), "'t' has 5 dimensions"),
    "no dimension": (
        header(n_tensors=1, tensors=tensor("tensor", [], 0, 0) + b"\0" * 8),
        "has 0 dimensions",
    ),
    "tensor type": (
        header(n_tensors=1, tensors=tensor("t", [32], 99, 0)),
        "unknown ggml type 99 at byte 24",
    ),
    "part of a block": (
        header(n_tensors=1, tensors=tensor("t", [33], 8, 0)),
        r"impossible shape \[33\] for Q8_0",
    ),
    "zero wide": (
        header(n_tensors=1, tensors=tensor("t", [32, 0], 0, 0)),
        r"impossible shape \[32, 0\]",
    ),
    "overflow": (
        header(n_tensors=1, tensors=tensor("t", [2**32, 2**32], 0, 0)),
        "impossible shape",
    ),
    "twice the name": (
        header(n_tensors=2, tensors=tensor("t", [1], 0, 0) * 2),
        "'t' is there twice",
    ),
    "overlap": (
        header(n_tensors=2, tensors=tensor("a", [8], 0, 0) + tensor("b", [8], 0, 16)) + b"\0" * 128,
        "data of 'b' overlaps that of 'a' at byte 112",
    ),
    "past the end": (
        header(n_tensors=1, tensors=tensor("a", [8], 0, 0)) + b"\0" * 20,
        "not within the file bounds: 96 bytes needed, 77 there",
    ),
    "offset past the end": (
        header(n_tensors=1, tensors=tensor("a", [8], 0, 2**64 - 1)),
        "not within the file bounds",
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_header_is_refused_with_its_offset(name: str) -> None:
    data, message = MALFORMED[name]
    with pytest.raises(ModelFileError, match=f"bad.gguf: .*{message}"):
        parse_header(data, name="bad.gguf")


def test_zeroed_giant_ends_at_the_largest_header(tmp_path: Path) -> None:
    path = tmp_path / "giant.gguf"
    with path.open("wb") as file:  # sparse: 64 GiB of zero-length strings
        file.write(
            header(n_metadata=1, metadata=metadata("k", ARRAY, struct.pack("<IQ", STRING, 2**32)))
        )
        file.truncate(1 << 36)
    with pytest.raises(ModelFileError, match=f"longer than {MAX_HEADER_BYTES >> 20} MiB"):
        read_gguf(path)


def test_missing_empty_and_unreadable_files_say_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "empty.gguf").touch()
    os.mkfifo(tmp_path / "pipe.gguf")
    for name, message in (
        ("pipe.gguf", "is empty; download"),
        ("none.gguf", "does not exist; check"),
        ("empty.gguf", "is empty; download"),
        (".", "directory"),
    ):
        with pytest.raises(ModelFileError, match=message):
            read_gguf(tmp_path / name)
