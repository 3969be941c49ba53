"""From what a command line names, a model, a card, a calibration, to their estimator.

Stands apart so that every command which predicts takes the same calibration for the same names.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from oomph.estimate.coefficients import Coefficients
    from oomph.estimate.estimator import Estimator

SHIPPED: Final = "none"
"""What `--calibration` takes for the coefficients that ship with the package."""


def named_estimator(
    model: str, gpu: str | None, gpu_mem: float | None, calibration: Path | None, *, on_host: bool
) -> "tuple[Estimator, str | None]":
    """The estimator, and the file that its coefficients are of, if they are a calibration's.

    `gpu_mem` is in MiB. OomphError for a model, card or file that cannot be.
    """
    from oomph.errors import ConfigError
    from oomph.estimate.estimator import Estimator
    from oomph.facts.gpus import gpu as find_gpu
    from oomph.facts.source import read_model
    from oomph.units import MIB

    if gpu_mem is not None and not 1 <= gpu_mem < 1 << 40:
        raise ConfigError(f"--gpu-mem is {gpu_mem:g}; give the memory of a card in MiB, for example 24080")
    spec, card = read_model(model), find_gpu(gpu) if gpu else None
    coefficients, origin = _calibration(calibration, spec.arch, card.name if card else None, on_host=on_host)
    memory_bytes = round(gpu_mem * MIB) if gpu_mem else None
    return Estimator(spec, card, gpu_memory_bytes=memory_bytes, coefficients=coefficients), origin


def _calibration(
    asked: Path | None, arch: str, card: str | None, *, on_host: bool
) -> "tuple[Coefficients | None, str | None]":
    """The coefficients to use and the file that they are of; nothing for those that ship with the package.

    Unless a file or `none` is asked for, the newest kept calibration of the same card, build and family of models; with
    no card named, one of this machine, and only for what runs without a card.
    """
    from oomph.estimate.coefficients import read_coefficients
    from oomph.fitting.kept import calibrations_folder, newest_matching

    if asked is not None:
        return (None, None) if str(asked) == SHIPPED else (read_coefficients(asked), str(asked))
    if not (card or on_host) or not calibrations_folder().is_dir():
        return None, None
    from oomph.records.environment import llama_cpp_commit, machine_name

    kept = newest_matching(card=card, arch=arch, machine=machine_name(), commit=llama_cpp_commit())
    return (kept.coefficients, str(kept.path)) if kept else (None, None)
