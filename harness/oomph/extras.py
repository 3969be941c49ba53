"""Which extra of oomph brings what the core can do without, and how to install it."""

from typing import Final

EXTRAS: Final = {
    "llama_cpp": "measure",
    "pynvml": "measure",
    "gguf": "measure",
    "numpy": "all",
    "scipy": "calibrate",
    "pandas": "report",
    "matplotlib": "report",
    "packaging": "bundle",
    "huggingface_hub": "hf",
    "httpx": "hf",
    "ray": "ray",
    "submitit": "slurm",
    "pyarrow": "parquet",
}
"""By the name that is imported; `pyproject.toml` says what each extra holds."""


def pip_install(module: str) -> str:
    """The command that brings `module`."""
    return f"pip install 'oomph[{EXTRAS[module]}]'"


def missing_extra(module: str | None) -> str | None:
    """The sentence for an import that failed, None for a module that is no extra's."""
    name = (module or "").split(".")[0]
    return f"{name} is not installed; run `{pip_install(name)}`" if name in EXTRAS else None
