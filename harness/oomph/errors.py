"""The errors that a user can mend, each one sentence with the way out.

`OomphError` and its children are raised for bad input or a missing part, carry one sentence that
names the file, the key and the remedy, and are caught once, in `oomph.cli`, which prints the
sentence and exits with 2. Anything else that escapes is a bug of ours and keeps its traceback. A
measured point that fails is none of these: it is a record with an outcome
(`oomph.measure.outcome`).
"""


class OomphError(Exception):
    """Something a user can mend; `str(error)` is the one sentence that says what and how."""


class ModelFileError(OomphError):
    """A GGUF file that is missing, truncated or malformed; names the file and the byte offset."""


class UnknownNameError(OomphError):
    """A GPU, model or quantization that no catalogue knows; lists the nearest names."""


class ConfigError(OomphError):
    """A sweep file, a knob or a combination of knobs that cannot be; names the file and the key."""


class StoreError(OomphError):
    """A results folder that cannot be read or written, or that another sweep holds."""


class ToolchainError(OomphError):
    """A part that is not installed (compiler, npm, CUDA backend, extra); names the command that
    mends it."""


class FitError(OomphError):
    """Records from which a coefficient cannot be identified; says which and what to measure."""
