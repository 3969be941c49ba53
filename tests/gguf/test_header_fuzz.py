"""A header may say anything: the reader answers with an error that names the offset, quickly and in
little memory."""

import random
import re
import tracemalloc
from pathlib import Path

import pytest

from oomph.architectures.from_gguf import spec_from_gguf
from oomph.errors import ModelFileError
from oomph.gguf.bounded_reader import TruncatedHeaderError
from oomph.gguf.header import GGUFFile, parse_header

MUTATIONS = 24_000
PEAK_BYTES = 4 << 20
NUMBERS = (
    0,
    1,
    2,
    3,
    8,
    9,
    13,
    32,
    255,
    2**16,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**40,
    2**61,
    2**63 - 1,
    2**63,
    2**64 - 1,
)
ERROR = re.compile(r"fuzz: .+ at byte \d+; ", re.DOTALL)


def attempt(data: bytes, file_bytes: int | None = None) -> GGUFFile | ModelFileError:
    """The file, or the one error that may be raised."""
    try:
        return parse_header(data, name="fuzz", file_bytes=file_bytes)
    except ModelFileError as error:
        return error


def mutated(data: bytes, source: random.Random) -> bytes:
    """`data` with one to four changes: a byte, a number, a piece removed, doubled or moved, an end
    cut off."""
    changed = bytearray(data)
    for _ in range(source.choice((1, 1, 2, 4))):
        at = source.randrange(len(changed))
        kind = source.randrange(6)
        if kind == 0:
            changed[at] = source.randrange(256)
        elif kind == 1:
            changed[at : at + 8] = source.choice(NUMBERS).to_bytes(
                8, source.choice(("little", "big"))
            )
        elif kind == 2:
            changed[at : at + 4] = (source.choice(NUMBERS) & 0xFFFFFFFF).to_bytes(4, "little")
        elif kind == 3:
            del changed[at : at + source.randrange(1, 40)]
        elif kind == 4:
            end = min(len(changed), at + source.randrange(1, 200))
            changed[at:at] = changed[at:end]
        else:
            del changed[max(at, 8) :]
        if len(changed) < 9:
            return bytes(changed)
    return bytes(changed)


@pytest.fixture(scope="module")
def seed(small_model: Path) -> bytes:
    """The small model's header with its data cut off, so that mutations hit what is parsed."""
    whole = small_model.read_bytes()
    return whole[: parse_header(whole, name="seed").data_offset]


def test_mutated_headers_give_a_file_or_an_error_that_names_the_offset(seed: bytes) -> None:
    source, refused = random.Random(20261122), 0
    for _ in range(MUTATIONS):
        outcome = attempt(mutated(seed, source), file_bytes=1 << 20)
        if isinstance(outcome, TruncatedHeaderError):
            assert outcome.needed_bytes <= 1 << 20
        elif isinstance(outcome, ModelFileError):
            assert ERROR.search(str(outcome)), outcome
            refused += 1
    assert refused > MUTATIONS / 3


def test_no_header_makes_the_reader_take_much_memory(seed: bytes) -> None:
    source, absurd = random.Random(1), (2**63, 2**64 - 1, 2**40, 2**24)
    headers = [mutated(seed, source) for _ in range(300)]
    headers += [
        seed[:at] + absurd[at % 4].to_bytes(8, "little") + seed[at + 8 :]
        for at in range(8, len(seed) - 8, 3)
    ]
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for data in headers:
            attempt(data, file_bytes=1 << 40)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < PEAK_BYTES


def test_mutated_values_never_crash_the_model_behind_the_header(seed: bytes) -> None:
    source, models = random.Random(7), 0
    for _ in range(2_000):
        outcome = attempt(mutated(seed, source), file_bytes=1 << 20)
        if isinstance(outcome, GGUFFile):
            try:
                models += spec_from_gguf(outcome).n_layer > 0
            except ModelFileError:  # a key is gone or makes no sense, and the sentence says which
                continue
    assert models > 2  # most of what is changed does not fit the rest


def test_truncation_at_every_byte_is_told_from_a_whole_header(seed: bytes) -> None:
    for length in range(len(seed)):
        short, prefix = attempt(seed[:length]), attempt(seed[:length], file_bytes=1 << 20)
        if isinstance(prefix, GGUFFile):  # only the padding before the data is missing
            assert len(seed) - length < 32
            continue
        assert isinstance(prefix, TruncatedHeaderError)
        assert length < prefix.needed_bytes <= len(seed)
        assert isinstance(short, ModelFileError)
        assert not isinstance(short, TruncatedHeaderError)
