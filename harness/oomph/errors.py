"""The errors that a user can mend, each one sentence with the way out.

`OomphError` and its children are raised for bad input or a missing part, carry one sentence that
names the file, the key and the remedy, and are caught once, in `oomph.cli`, which prints the
sentence and exits with 2. Anything else that escapes is a bug of ours and keeps its traceback. A
measured point that fails is none of these: it is a record with an outcome
(`oomph.measure.logs.outcome`).
"""

import errno


class OomphError(Exception):
    """Something a user can mend; `str(error)` is the one sentence that says what and how."""


class ModelFileError(OomphError):
    """A GGUF file that is missing, truncated or malformed; names the file and the byte offset."""


class UnknownNameError(OomphError):
    """A GPU, model or quantization that no catalogue knows; lists the nearest names."""


class ConfigError(OomphError):
    """A sweep file, a knob or a combination of knobs that cannot be; names the file and the key."""


class StoreError(OomphError):
    """A file or a folder that cannot be read or written, or that another sweep holds."""


class ToolchainError(OomphError):
    """A part that is not installed (compiler, npm, CUDA backend, extra); names the command that
    mends it."""


class FitError(OomphError):
    """Records from which a coefficient cannot be identified; says which and what to measure."""


def machine_sentence(error: OSError) -> str | None:
    """What the machine lacks, where that is why any file or process could not be had: room,
    descriptors, permission, a folder that can be written, Linux's /proc. None for another error,
    which is a bug of ours where it is not said in its place."""
    where = f" ({error.filename})" if error.filename else ""
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return f"too many files are open{where}; allow more with `ulimit -n 256`"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"a disk is full{where}; free some of it, or set TMPDIR and OOMPH_CACHE to another"
    if error.errno == errno.EROFS:
        return f"a disk takes no writing{where}; set OOMPH_CACHE to a folder that can be written"
    if str(error.filename).startswith("/proc/"):
        return f"{error.filename} is missing; measuring needs Linux's /proc, so mount it"
    if error.errno == errno.ENAMETOOLONG:
        name = str(error.filename)
        return f"{name[:60]}… has {len(name):,} characters, too many of a file; give a shorter name"
    if error.errno in (errno.EACCES, errno.EPERM) and error.filename:
        return f"{error.filename} is closed to this user; change its permissions, or name another"
    if "temporary directory" in (error.strerror or ""):
        return f"{error.strerror}; set TMPDIR to a folder that has room"
    return None
