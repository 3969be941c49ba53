"""A sweep without a file: its TOML written from lists of knobs, kept beside the records."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from oomph.errors import ConfigError
from oomph.files import write_files
from oomph.measure.sweep import Sweep
from oomph.measure.workload import SERVER
from oomph.models.sparse import model_path
from oomph.speculation import SIMPLE
from oomph.units import read_counts

FILE: Final = "sweep.toml"
_COMPARED: Final = ("n_expert_used", "type_k", "type_v")
"""What a text is scored for: the first value of each is what the others are compared with."""


def asked_sweep(
    what: str,
    axes: Mapping[str, Sequence[Any]],
    *,
    out: Path,
    depths: str | None = None,
    text: str | None = None,
    draft: str | None = None,
    phantom: str | None = None,
) -> Sweep:
    """The sweep of the file `what`, or one that measures the model `what` over `axes` (RunConfig's
    knobs), at `depths` of a full context, with the model `draft` beside it, and scores `text` where
    one is named.

    The written one is kept in `out`, which a phantom card may fill from a sparse file of a
    published shape. ConfigError for lists beside a file, and for what is neither.
    """
    if what.endswith(".toml"):
        if axes or depths or text or draft:
            raise ConfigError(
                f"{what} says what to measure; put the knobs, depths, texts and drafts there, or "
                "name a model instead of a sweep file"
            )
        return Sweep.load(what)
    named = _named(what, phantom)
    beside = _named(draft, phantom) if draft else None
    content = sweep_text(named, axes, name=Path(what).name, depths=depths, text=text, draft=beside)
    sweep = Sweep.parse(content, path=_place(out, content))
    _keep(content, out)
    return sweep


def _named(model: str, phantom: str | None) -> str:
    """A model as the written sweep names it: its file's whole path, which a phantom card may have
    of a sparse one."""
    path = model_path(model) if phantom and not Path(model).is_file() else Path(model)
    return str(path.absolute()) if path.is_file() else model


def sweep_text(
    model: str,
    axes: Mapping[str, Sequence[Any]],
    *,
    name: str,
    depths: str | None,
    text: str | None,
    draft: str | None = None,
) -> str:
    """The TOML of a sweep of `model` over `axes`; one value is no axis, and n_ctx left out is
    4,096. A `draft` drafts as a model by itself where no spec_type is said."""
    if draft is not None:
        axes = {"spec_type": [SIMPLE], **axes}
    varied = {knob: list(values) for knob, values in axes.items() if len(values) > 1}
    fixed = {knob: values[0] for knob, values in axes.items() if len(values) == 1}
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", name.removesuffix(".gguf")).strip("-.") or "model"
    lines = [
        "# Written by `oomph sweep`; change it and name it instead of the model.",
        "",
        f"name = {_toml(name)}",
        f"model = {_toml(model)}",
        'load_mode = "auto"',
    ]
    lines += _table("config", fixed)
    lines += _table("axes", varied)
    drafts = draft is not None or any(axes.get("spec_type", ()))
    through = {"through": SERVER} if drafts else {}
    through |= {"draft": draft} if draft is not None else {}
    lines += _table("measure", {"n_prompt": 512, "n_gen": 64, "depths": _depths(depths), **through})
    lines += [f"text = {{ {', '.join(_text(text, varied))} }}"] if text else []
    return "\n".join(lines) + "\n"


def _table(name: str, values: Mapping[str, Any]) -> list[str]:
    pairs = [f"{key} = {_toml(value)}" for key, value in values.items() if value is not None]
    return ["", f"[{name}]", *pairs] if pairs else []


def _text(text: str, varied: Mapping[str, list[Any]]) -> Iterator[str]:
    yield f"file = {_toml(text if text == 'pydoc' else str(Path(text).absolute()))}"
    yield "n_tokens = 4096"
    first = {knob: varied[knob][0] for knob in _COMPARED if knob in varied}
    if first:
        inner = ", ".join(f"{key} = {_toml(value)}" for key, value in first.items())
        yield f"reference = {{ {inner} }}"


def _depths(text: str | None) -> list[int | str]:
    """`0,16k,full` as a sweep file has it; both ends where nothing is said."""
    found: list[int | str] = []
    for part in (text or "0,full").split(","):
        try:
            found += ["full"] if part.strip() == "full" else read_counts(part)
        except ValueError as error:
            raise ConfigError(f"--depths {text}: {error}, or full") from None
    return found


def _toml(value: Any) -> str:
    """A string, number, boolean or list as TOML, which spells them as JSON does, but for characters
    beyond 16 bits; ConfigError for a name that is no UTF-8, which TOML cannot hold."""
    if isinstance(value, list):  # an axis spells a knob that is off in words
        value = ["none" if each is None else each for each in value]
    text = json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
    if any("\ud800" <= each <= "\udfff" for each in text):
        raise ConfigError(f"{value!r} is no UTF-8, which a sweep file has to be; rename it")
    return "".join(each if each.isprintable() else f"\\U{ord(each):08x}" for each in text)


def _place(out: Path, content: str) -> Path:
    """Where the file is kept: beside one of another content, under the next free number."""
    number = 1
    path = out / FILE
    while path.exists() and path.read_text(encoding="utf-8") != content:
        number += 1
        path = out / f"sweep-{number}.toml"
    return path


def _keep(content: str, out: Path) -> None:
    path = _place(out, content)
    write_files({path: content}, otherwise="name another folder with --out")
