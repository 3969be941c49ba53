"""A child with a CUDA context of its own: tells what the driver says, and may hold memory.

Run as a worker is, with LIBRARY PARENT_PID LEAVE_BYTES before the descriptor for its answer. It
asks the driver (libcuda, which comes with every driver, where libcudart may be missing) for the
first card that it is shown, opens the card's primary context, which is what a CUDA program's first
call does, and says one JSON line. With LEAVE_BYTES (which may be empty) it takes memory first,
until the card has so much left. Then it waits for the end of stdin: it ends with its parent,
however that ends, by the kernel's signal and by the closed pipe.
"""

import ctypes
import json
import os
import sys
from typing import Any

from oomph.measure.worker.parent import die_with

GRAIN = 2 << 20
"""The driver hands memory out in pieces of 2 MiB."""
PIECE = 1 << 30
ATTRIBUTES = {
    "sm_count": 16,
    "clock_khz": 13,
    "memory_clock_khz": 36,
    "bus_width_bits": 37,
    "l2_bytes": 38,
    "shared_bytes_per_sm": 81,
}
"""CUdevice_attribute's numbers (cuda.h); 0 is what a driver says that does not know."""
FLAGS = {"is_integrated": 18, "ecc_enabled": 32}
MAJOR, MINOR = 75, 76
OUT_OF_MEMORY = 2


class DriverError(Exception):
    """A call of the driver failed; the text is the driver's own."""


class Driver:
    """The CUDA driver by ctypes, as far as a context and its memory need it."""

    def __init__(self, library: str) -> None:
        try:
            self._cuda = ctypes.CDLL(library)
        except OSError as error:
            raise DriverError(f"{library} cannot be loaded ({error})") from None
        self.call("cuInit", 0)
        self._device = ctypes.c_int()
        self.call("cuDeviceGet", ctypes.byref(self._device), 0)

    def call(self, name: str, *arguments: Any) -> None:
        """One call; DriverError where it does not succeed."""
        if code := self.code(name, *arguments):
            raise DriverError(f"{name} says: {self._text(code)}")

    def code(self, name: str, *arguments: Any) -> int:
        """One call's own code, 0 for success."""
        return int(getattr(self._cuda, name)(*arguments))

    def facts(self) -> dict[str, Any]:
        """What the driver tells without a context; None for what it does not."""
        version, name, total = ctypes.c_int(), ctypes.create_string_buffer(256), ctypes.c_size_t()
        self.call("cuDriverGetVersion", ctypes.byref(version))
        self.call("cuDeviceGetName", name, len(name), self._device)
        self.call("cuDeviceTotalMem_v2", ctypes.byref(total), self._device)
        facts: dict[str, Any] = {
            "cuda_version": f"{version.value // 1000}.{version.value % 1000 // 10}",
            "name": name.value.decode(),
            "total_bytes": total.value,
            "compute_capability": f"{self.attribute(MAJOR)}.{self.attribute(MINOR)}",
        }
        facts |= {key: self.attribute(number) or None for key, number in ATTRIBUTES.items()}
        return facts | {key: bool(self.attribute(number)) for key, number in FLAGS.items()}

    def attribute(self, number: int) -> int:
        """One CUdevice_attribute of the card."""
        value = ctypes.c_int()
        self.call("cuDeviceGetAttribute", ctypes.byref(value), number, self._device)
        return value.value

    def open_context(self) -> None:
        """The card's primary context, current for this thread."""
        context = ctypes.c_void_p()
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), self._device)
        self.call("cuCtxSetCurrent", context)

    def memory(self) -> tuple[int, int]:
        """(free, total) bytes, as CUDA says it in this context."""
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        self.call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        return free.value, total.value

    def take(self, n_bytes: int) -> bool:
        """Allocate; False where the card has not that much in one piece."""
        at = ctypes.c_void_p()
        code = self.code("cuMemAlloc_v2", ctypes.byref(at), ctypes.c_size_t(n_bytes))
        if code not in (0, OUT_OF_MEMORY):
            raise DriverError(f"cuMemAlloc says: {self._text(code)}")
        return code == 0

    def fill_up_to(self, leave_bytes: int) -> int:
        """Take memory until no more than `leave_bytes` and one grain are free; the bytes that were
        taken."""
        taken, piece = 0, PIECE
        while (excess := self.memory()[0] - leave_bytes) >= GRAIN and piece >= GRAIN:
            n_bytes = min(piece, excess) // GRAIN * GRAIN
            if self.take(n_bytes):
                taken += n_bytes
            else:
                piece = n_bytes // 2
        return taken

    def _text(self, code: int) -> str:
        text = ctypes.c_char_p()
        known = not self.code("cuGetErrorString", code, ctypes.byref(text)) and text.value
        return f"{text.value.decode()} ({code})" if known and text.value else f"error {code}"


def hold(library: str, leave_bytes: int | None) -> dict[str, Any]:
    """Open the context, take what is to be taken, and say how things stand."""
    driver = Driver(library)
    said = driver.facts()
    driver.open_context()
    free, total = driver.memory()
    said |= {"free_with_context_bytes": free, "total_with_context_bytes": total}
    if leave_bytes is not None:
        if free < leave_bytes:
            raise DriverError(
                f"only {free >> 20:,} MiB are free, less than the {leave_bytes >> 20:,} MiB to "
                "leave"
            )
        said["held_bytes"] = driver.fill_up_to(leave_bytes)
        said["free_bytes"] = driver.memory()[0]
    return said


def main(arguments: list[str]) -> int:
    """The script: 0 when stdin ended, 1 where the driver refused."""
    library, parent_pid, leave, reply_fd = arguments
    die_with(int(parent_pid))
    with os.fdopen(int(reply_fd), "w") as replies:
        try:
            said = {"event": "holds", **hold(library, int(leave) if leave else None)}
        except (DriverError, AttributeError) as error:  # a call that an old driver does not have
            said = {"event": "failed", "message": str(error)}
        replies.write(json.dumps(said) + "\n")
    while said["event"] == "holds" and os.read(0, 4096):
        pass
    return 0 if said["event"] == "holds" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
