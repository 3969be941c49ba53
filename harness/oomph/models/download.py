"""Fetches a GGUF file from Hugging Face, for a sweep that names one.

Stands apart from `gguf.remote`, which reads a header and never the weights: here the whole file
travels, once for a machine. huggingface_hub (an extra) does it: it shows the progress, takes up
what broke off and keeps the files in the cache that other programs share. HF_ENDPOINT, HF_TOKEN and
HF_HOME are its own.
"""

from pathlib import Path, PurePosixPath

from oomph.errors import ModelFileError, ToolchainError
from oomph.extras import pip_install
from oomph.gguf.header import split_names
from oomph.gguf.remote import hf_file


def download_model(reference: str) -> Path:
    """The file that `hf:owner/repo/file.gguf` names, downloaded if need be; of a split model all
    parts lie beside it.

    Raises ToolchainError without huggingface_hub, ModelFileError for another reference or a file
    that does not come.
    """
    repository, name = hf_file(reference)
    path = PurePosixPath(name)
    parts = {part: _fetch(repository, str(path.with_name(part))) for part in split_names(path.name)}
    return parts[path.name]


def _fetch(repository: str, name: str) -> Path:
    try:
        import httpx
        from huggingface_hub import hf_hub_download
    except ImportError:
        raise ToolchainError(
            f"to download hf:{repository}/{name} huggingface_hub is needed; run "
            f"{pip_install('huggingface_hub')}, or download the file and name its path"
        ) from None
    try:
        return Path(hf_hub_download(repository, name))
    except (OSError, ValueError, httpx.HTTPError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise ModelFileError(
            f"hf:{repository}/{name} cannot be downloaded ({reason}); check the name, the network "
            "and HF_TOKEN"
        ) from None
