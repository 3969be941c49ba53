"""A filling as llama.cpp's knobs: -ngl, -ts, -ncmoe, and -ot where those cannot say it."""

from collections.abc import Iterator, Mapping, Sequence

from oomph.advise.placement.filling import Runs
from oomph.advise.placement.parts import Costs
from oomph.config import RunConfig


def placed(
    config: RunConfig, runs: Runs, n_bytes: Costs, *, divides: bool, moves_experts: bool
) -> RunConfig:
    """`config` with its layers, which weigh `n_bytes`, as in `runs`; its split stays unless it
    `divides` them, and its overrides unless it `moves_experts`."""
    total, first = len(n_bytes.fixed), runs.ends[0]
    asked = config.n_gpu_layers if config.n_gpu_layers >= 0 else total
    if total - first != min(asked, total):
        config = config.with_(n_gpu_layers=total - first)
    if divides:
        config = config.with_(tensor_split=tuple(map(float, runs.counts)))
    if moves_experts:
        n_cpu_moe, patterns = _overrides(runs.out, n_bytes, first)
        config = config.with_(n_cpu_moe=n_cpu_moe, override_tensor=patterns or None)
    return config


def _overrides(out: Mapping[int, frozenset[str]], n_bytes: Costs, first: int) -> tuple[int, str]:
    """n_cpu_moe for the first layers that are all out, and patterns for what else is."""
    pieces = n_bytes.pieces
    stays = (
        il
        for il in range(len(pieces))
        if il >= first and pieces[il] and out.get(il, frozenset()) != pieces[il].keys()
    )
    n_cpu_moe = next(stays, len(pieces))
    last = max((il for il in range(n_cpu_moe) if out.get(il)), default=-1)
    n_cpu_moe = last + 1
    rest = {il: names for il, names in out.items() if il >= n_cpu_moe}
    return n_cpu_moe, ",".join(_patterns(rest, pieces))


def _patterns(
    out: Mapping[int, frozenset[str]], pieces: "Sequence[Mapping[str, float]]"
) -> Iterator[str]:
    """One `regex=CPU` for all layers of which the same is out."""
    alike: dict[str, list[int]] = {}
    for il, names in out.items():
        is_all = names == pieces[il].keys()
        what = "up|down|gate|gate_up" if is_all else "|".join(sorted(names))
        alike.setdefault(what, []).append(il)
    for what, layers in alike.items():
        yield rf"blk\.({'|'.join(map(str, layers))})\.ffn_({what})_(ch|)exps=CPU"


def spelled_places(config: RunConfig) -> list[str]:
    """Where the layers go, knob by knob: `n_cpu_moe 21`, `tensor_split 34,15`."""
    said = []
    if config.n_gpu_layers >= 0:
        said.append(f"n_gpu_layers {config.n_gpu_layers}")
    if config.n_cpu_moe:
        said.append(f"n_cpu_moe {config.n_cpu_moe}")
    if config.tensor_split:
        said.append(f"tensor_split {','.join(f'{share:g}' for share in config.tensor_split)}")
    if config.override_tensor:
        said.append(f"override_tensor {config.override_tensor}")
    return said
