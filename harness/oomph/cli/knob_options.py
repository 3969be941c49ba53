"""llama.cpp's knobs as options of a command, spelled as its own programs spell them.

Stands apart from `knobs`, which reads them from text and files: every command that asks about one
configuration takes the same options under the same names, and none lists them again.
"""

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, Final, get_type_hints

import typer

OPTIONS: Final[Mapping[str, Any]] = {
    "n_ctx": Annotated[int | None, typer.Option("--n-ctx", "--ctx-size", "-c")],
    "n_batch": Annotated[int | None, typer.Option("--n-batch", "--batch-size", "-b")],
    "n_ubatch": Annotated[int | None, typer.Option("--n-ubatch", "--ubatch-size", "-ub")],
    "n_seq_max": Annotated[int | None, typer.Option("--n-seq-max", "--parallel", "-np")],
    "kv_unified": Annotated[
        bool | None, typer.Option("--kv-unified/--no-kv-unified", "-kvu/-no-kvu")
    ],
    "type_k": Annotated[str | None, typer.Option("--type-k", "--cache-type-k", "-ctk")],
    "type_v": Annotated[str | None, typer.Option("--type-v", "--cache-type-v", "-ctv")],
    "flash_attn": Annotated[
        str | None, typer.Option("--flash-attn", "-fa", help="on, off or auto")
    ],
    "swa_full": Annotated[bool | None, typer.Option("--swa-full/--no-swa-full")],
    "n_gpu_layers": Annotated[
        str | None, typer.Option("--n-gpu-layers", "--gpu-layers", "-ngl", help="-1 is all")
    ],
    "n_cpu_moe": Annotated[int | None, typer.Option("--n-cpu-moe", "-ncmoe")],
    "override_tensor": Annotated[
        list[str] | None, typer.Option("--override-tensor", "-ot", help="regex=CPU")
    ],
    "tensor_split": Annotated[str | None, typer.Option("--tensor-split", "-ts", help="3,1")],
    "split_mode": Annotated[str | None, typer.Option("--split-mode", "-sm")],
    "main_gpu": Annotated[int | None, typer.Option("--main-gpu", "-mg")],
    "no_kv_offload": Annotated[
        bool, typer.Option("--no-kv-offload", "-nkvo", help="KV cache on the host")
    ],
    "no_op_offload": Annotated[bool, typer.Option("--no-op-offload")],
    "n_outputs_max": Annotated[
        int | None, typer.Option("--n-outputs-max", help="llama-server: its slots")
    ],
    "n_expert_used": Annotated[int | None, typer.Option("--n-expert-used", help="active experts")],
    "n_devices": Annotated[
        int | None, typer.Option("--n-devices", help="cards; 0 is a CPU-only build")
    ],
    "n_threads": Annotated[int | None, typer.Option("--n-threads", "--threads", "-t")],
    "n_depth": Annotated[
        int | None, typer.Option("--n-depth", "-d", help="cells filled when speed is asked")
    ],
    "n_parallel": Annotated[
        int | None, typer.Option("--n-parallel", help="sequences that decode at once")
    ],
    "rope_scaling": Annotated[
        str | None, typer.Option("--rope-scaling", help="none, linear or yarn")
    ],
    "rope_scale": Annotated[
        float | None, typer.Option("--rope-scale", help="the factor of the context")
    ],
    "yarn_orig_ctx": Annotated[
        int | None, typer.Option("--yarn-orig-ctx", help="the context that YaRN starts from")
    ],
}
"""A parameter's annotation by its name."""

_NEGATED: Final = {"no_kv_offload": "offload_kqv", "no_op_offload": "op_offload"}
"""Options that switch off what is on by default, and the knob of each."""


def takes_knobs(
    command: Callable[..., None], *, without: Collection[str] = ()
) -> Callable[..., None]:
    """`command` for typer, its parameter `knobs` replaced by the options; it is given those that
    were said.

    `without` names knobs that the command spells in a way of its own, or that make no sense to it.
    """
    options = {name: option for name, option in OPTIONS.items() if name not in without}
    hints = get_type_hints(command, include_extras=True)
    own = [
        parameter.replace(annotation=hints[parameter.name])
        for parameter in inspect.signature(command).parameters.values()
        if parameter.name != "knobs"
    ]
    added = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            annotation=option,
            default=False if name in _NEGATED else None,
        )
        for name, option in options.items()
    ]

    def run(**given: Any) -> None:
        said = {name: given.pop(name) for name in options}
        command(**given, knobs=_knobs(said))

    keyword_only = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    run.__doc__ = command.__doc__
    run.__signature__ = inspect.Signature([*keyword_only, *added])  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in (*own, *added)}
    return run


def _knobs(said: Mapping[str, Any]) -> dict[str, Any]:
    """RunConfig's names and values of the options that were said."""
    from oomph.cli.knobs import knob_value

    knobs = {
        name: value for name, value in said.items() if value is not None and name not in _NEGATED
    }
    for option, knob in _NEGATED.items():
        if said.get(option):
            knobs[knob] = False
    if layers := knobs.get("n_gpu_layers"):
        knobs["n_gpu_layers"] = (
            -1 if layers in ("all", "auto") else knob_value("n_gpu_layers", layers)
        )
    if rules := knobs.pop("override_tensor", None):
        knobs["override_tensor"] = ",".join(rules)
    if "tensor_split" in knobs:
        knobs["tensor_split"] = knob_value("tensor_split", knobs["tensor_split"])
    return knobs
