"""`oomph frontier`: the largest context that really runs, for each combination of knobs."""

import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from oomph.cli.phantom import PhantomOption

if TYPE_CHECKING:
    from oomph.config import RunConfig
    from oomph.measure.bench import Bench
    from oomph.measure.frontier import Frontier, Slack


def register(app: typer.Typer) -> None:
    """Add `frontier` to the command line."""
    app.command("frontier")(_frontier)


def _frontier(
    model: Annotated[
        str, typer.Argument(help="a GGUF file; on a phantom card also name:QUANT, made sparse")
    ],
    n_expert_used: Annotated[
        str | None, typer.Option(help="active experts, several by comma")
    ] = None,
    type_kv: Annotated[str, typer.Option(help="type of K and V, several by comma")] = "f16",
    flash_attn: Annotated[str, typer.Option(help="on, off or auto, several by comma")] = "on",
    n_ubatch: Annotated[str, typer.Option(help="several by comma")] = "512",
    n_cpu_moe: Annotated[int, typer.Option(help="layers whose experts stay on the CPU")] = 0,
    phantom: PhantomOption = None,
    limit: Annotated[int, typer.Option(help="the largest context that is tried")] = 131_072,
    out: Annotated[
        Path | None,
        typer.Option(help="folder for records and frontier.md; started again, it goes on"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a combination")] = False,
) -> None:
    """Find the largest context that runs when it is filled to the end, by loading and filling
    it."""
    from oomph.cli.knobs import expert_counts
    from oomph.config import RunConfig, knob_value
    from oomph.measure.bench import open_bench

    config = RunConfig(n_cpu_moe=n_cpu_moe)
    axes: dict[str, list[Any]] = {
        "n_expert_used": expert_counts(n_expert_used),
        "type_kv": type_kv.split(","),
        "flash_attn": flash_attn.split(","),
        "n_ubatch": [knob_value("n_ubatch", n) for n in n_ubatch.split(",")],
    }
    configs = [
        config.with_(n_expert_used=n, type_k=kind, type_v=kind, flash_attn=fused, n_ubatch=ubatch)
        for n, kind, fused, ubatch in itertools.product(*axes.values())
    ]
    with open_bench(phantom) as bench:
        if bench.remark:
            typer.echo(bench.remark, err=True)
        _search(model, configs, bench, limit=limit, out=out, as_json=as_json)


def _search(
    model: str,
    configs: "list[RunConfig]",
    bench: "Bench",
    *,
    limit: int,
    out: Path | None,
    as_json: bool,
) -> None:
    import contextlib
    import tempfile

    from oomph.measure.frontier import FrontierSearch, frontiers
    from oomph.measure.runner import Runner
    from oomph.models.sparse import model_path
    from oomph.records.store import Store

    path = model_path(model) if bench.phantom else Path(model)
    n_devices = len(bench.environment.gpus)
    with contextlib.ExitStack() as stack:
        store = Store(
            out or stack.enter_context(tempfile.TemporaryDirectory(prefix="oomph-frontier-"))
        )
        runner = Runner(
            store, bench.executor, model=path, known_as=model, environment=bench.environment
        )
        search = FrontierSearch(runner, model=model, limit=limit)
        settled = [config.with_(n_devices=n_devices) for config in configs]
        lines = []
        for found in frontiers(search, settled, slack=_slack(path, bench)):
            lines.append(frontier_line(found))
            typer.echo(json.dumps(_plain(found)) if as_json else lines[-1])
    if out is not None:
        cards = ", ".join(card["name"] for card in bench.environment.gpus) or "the CPU"
        answer = [
            f"# How long a context of {model} runs on {cards}",
            "",
            *(f"- {line}" for line in lines),
            "",
        ]
        (out / "frontier.md").write_text("\n".join(answer), encoding="utf-8")


def _slack(path: Path, bench: "Bench") -> "Slack | None":
    """The estimate as a guide; none on a machine without cards, or with one that the catalogue
    lacks."""
    from oomph.architectures.source import read_model
    from oomph.calibrate.expected_memory import Expectation
    from oomph.errors import UnknownNameError
    from oomph.gpus import gpu

    cards = bench.environment.gpus
    try:
        specs = bench.phantom.specs if bench.phantom else tuple(gpu(card["name"]) for card in cards)
    except UnknownNameError:
        return None
    if not specs or any(card["usable_bytes"] is None for card in cards):
        return None
    expected = Expectation(read_model(path), specs, backend=bench.environment.backend)
    return expected.slack([card["usable_bytes"] for card in cards])


def _plain(found: "Frontier") -> dict[str, Any]:
    knobs = ("n_expert_used", "type_k", "type_v", "flash_attn", "n_ubatch", "n_cpu_moe")
    return {knob: getattr(found.config, knob) for knob in knobs} | {
        "n_ctx": found.n_ctx,
        "predicted_n_ctx": found.predicted_n_ctx,
        "n_probes": found.n_probes,
        "reached_limit": found.reached_limit,
        "failed": found.failed,
        "failed_n_ctx": found.failed_n_ctx,
        "n_filled": found.n_filled,
    }


def frontier_line(found: "Frontier") -> str:
    """One combination and its frontier, with how the next one up ends."""
    from oomph.units import count

    config = found.config
    experts = "" if config.n_expert_used is None else f"{config.n_expert_used} experts, "
    what = (
        f"{experts}KV {config.type_k}, flash_attn {config.flash_attn}, n_ubatch {config.n_ubatch}"
    )
    if found.n_ctx is None:
        return f"{what}: none runs ({found.failed}: {found.reason})"
    guess = "" if found.predicted_n_ctx is None else f", predicted {count(found.predicted_n_ctx)}"
    probes = "probe" if found.n_probes == 1 else "probes"
    answer = f"{what}: {count(found.n_ctx)} runs full ({found.n_probes} {probes}{guess})"
    if found.reached_limit:
        return f"{answer}; nothing larger was tried"
    if found.loads_and_aborts:
        at = f"after {count(found.n_filled)} tokens" if found.n_filled else "in the first prompt"
        return f"{answer}; {count(found.failed_n_ctx)} loads and aborts {at}"
    return f"{answer}; {count(found.failed_n_ctx)} does not load ({found.failed})"
