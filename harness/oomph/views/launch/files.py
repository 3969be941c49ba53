"""All launch files of one configuration, and why one is left out."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from oomph.advise.alternatives import would_have_fitted
from oomph.advise.first_failure import margin_bytes
from oomph.advise.launch_plan import Launch
from oomph.errors import ConfigError
from oomph.estimate.estimator import Estimator
from oomph.files import write_files
from oomph.frozen import frozen
from oomph.programs.spelling import NoSpellingError
from oomph.units import count, mib
from oomph.views.estimates import warnings
from oomph.views.launch.koboldcpp import render_koboldcpp
from oomph.views.launch.library import render_python
from oomph.views.launch.notes import render_notes
from oomph.views.launch.ollama import render_modelfile
from oomph.views.launch.server import render_preset, render_script
from oomph.views.launch.spelling import verdict
from oomph.views.launch.textgen import render_cmd_flags, render_settings
from oomph.views.launch.transformers import render_config_patch

SCRIPT: Final = "llama-server.sh"
PRESET: Final = "models.ini"
_RENDERERS: Final[Mapping[str, Callable[[Launch], str]]] = {
    SCRIPT: render_script,
    PRESET: render_preset,
    "text-generation-webui/CMD_FLAGS.txt": render_cmd_flags,
    "text-generation-webui/settings.yaml": render_settings,
    "koboldcpp.sh": render_koboldcpp,
    "Modelfile": render_modelfile,
    "llama_cpp_python.py": render_python,
    "config.rope_scaling.json": render_config_patch,
}


@frozen
class LaunchFiles:
    """`texts` by path within the folder, `left_out` by path why there is none."""

    texts: Mapping[str, str]
    left_out: Mapping[str, str]


def launch_files(launch: Launch) -> LaunchFiles:
    """Every file that can be written of `launch`. ConfigError for a path or an architecture that
    none can hold."""
    texts, left_out = dict[str, str](), dict[str, str]()
    for path, render in _RENDERERS.items():
        try:
            texts[path] = render(launch)
        except NoSpellingError as error:
            left_out[path] = str(error)
    texts["NOTES.md"] = render_notes(launch, tuple(texts), left_out)
    return LaunchFiles(texts=texts, left_out=left_out)


def write_launch(files: LaunchFiles, out: Path) -> None:
    """Write them into the folder, scripts executable; files of another configuration that this one
    leaves out are removed."""
    write_files(
        {out / name: text for name, text in files.texts.items()},
        otherwise="name another folder with --out",
    )
    for name in files.left_out:
        (out / name).unlink(missing_ok=True)


def refuse_short(estimator: Estimator, launch: Launch) -> None:
    """ConfigError where the launch does not fit: what llama.cpp would not run, or what is short and
    what would do."""
    if launch.prediction.fits is not False:
        return
    short = -margin_bytes(launch.prediction.memory, estimator.room_bytes(launch.config))
    if short <= 0:
        raise ConfigError(
            f"{'; '.join(warnings(launch.prediction))}; --force writes the files all the same"
        )
    instead = would_have_fitted(estimator, launch.config, "oom_kv")
    raise ConfigError(
        f"n_ctx {count(launch.config.n_ctx)} in profile {launch.profile}: "
        f"{verdict(launch).rstrip('.')} ({mib(short)} short); "
        f"{instead}; --force writes the files all the same"
    )
