"""A started launch script held against what its files promise: knobs, slots, memory.

The only place that knows both the promise (a configuration and its estimate) and what llama-server
reported.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from oomph.advise.answer import MODEL_FILE
from oomph.advise.launch_plan import Launch, slot_context
from oomph.errors import ConfigError
from oomph.estimate.graph.placement import META
from oomph.estimate.prediction import DeviceMemory, as_printed, is_card
from oomph.frozen import frozen
from oomph.measure.logs.contexts import buffers_by_context
from oomph.measure.logs.outcome import classify
from oomph.measure.logs.progress import Context
from oomph.measure.logs.reported import disagreement
from oomph.measure.server_run import ServerRun, find_server, phantom_arguments, run_server
from oomph.phantom.cards import phantom_cards
from oomph.records.schema import Buffers
from oomph.units import MIB, count

QUESTION: Final = "Say hello."
"""What a server that computes is asked."""
DRAFTING: Final = (Context.MTP, Context.DRAFT)
ROUNDED_MIB: Final = 0.02
"""llama.cpp prints each buffer with two decimals, and a device may have several."""


@frozen
class LaunchFinding:
    """One promise: what the files say, what llama-server reported, and whether the two agree."""

    what: str
    promised: str
    reported: str
    holds: bool


@frozen
class Check:
    """What a started script kept of its promises, and which llama-server it was; `answer` is to
    `question`, None where the card computes nothing."""

    findings: tuple[LaunchFinding, ...]
    program: Path
    question: str
    answer: str | None


def check(
    launch: Launch, script: Path, *, server: Path | None = None, phantom: str | None = None
) -> Check:
    """Start the script, on phantom cards where they are named, and stop it again.

    ConfigError for a launch whose model's file is not known, ToolchainError where there is no
    llama-server to start.
    """
    if launch.model_path == MODEL_FILE:
        raise ConfigError("--check starts the model: say where its file is, with --model-path")
    program = find_server(server)
    environment, arguments = {"LLAMA_SERVER": str(program)}, list[str]()
    with contextlib.ExitStack() as stack:
        if phantom:
            cards = stack.enter_context(phantom_cards(phantom, llama_cpp=program.parent))
            environment |= cards.program_environment()
            arguments = phantom_arguments(len(cards.cards), launch.devices)
        run = run_server(
            script.absolute(),
            arguments=arguments,
            environment=environment,
            question=None if phantom else QUESTION,
        )
    return Check(
        findings=held_against(launch, run),
        program=program,
        question=QUESTION,
        answer=run.answer,
    )


def held_against(launch: Launch, run: ServerRun) -> tuple[LaunchFinding, ...]:
    """Every promise that can be told from a run; the first is that it starts."""
    if run.health_s is None:
        ended = classify(run.exit_code, run.log, timed_out=run.timed_out)
        return (
            LaunchFinding(
                what="starts",
                promised="yes",
                reported=f"{ended.outcome}: {ended.advice}",
                holds=False,
            ),
        )
    return (*_knobs(launch, run), *_memory(launch, run), *_end(run))


def _knobs(launch: Launch, run: ServerRun) -> Iterator[LaunchFinding]:
    config, reported = launch.config, run.reported
    yield LaunchFinding(
        what="starts", promised="yes", reported=f"healthy after {run.health_s:.1f} s", holds=True
    )
    slots, n_ctx = run.slots or (None, None)
    wanted = slot_context(config)
    yield LaunchFinding(
        what="tokens in each slot",
        promised=f"{config.n_seq_max} × {count(wanted)}",
        reported=f"{slots} × {count(n_ctx)}, over HTTP {count(run.slot_n_ctx)}",
        holds=slots == config.n_seq_max
        and n_ctx is not None
        and n_ctx >= wanted
        and run.slot_n_ctx == n_ctx,
    )
    if config.n_expert_used is not None:
        yield LaunchFinding(
            what="active experts",
            promised=str(config.n_expert_used),
            reported=str(reported.n_expert_used),
            holds=reported.n_expert_used == config.n_expert_used,
        )
    wrong = disagreement(config, reported)
    yield LaunchFinding(
        what="cache types, RoPE and context as asked",
        promised="yes",
        reported=wrong or "yes",
        holds=wrong is None,
    )


def _memory(launch: Launch, run: ServerRun) -> Iterator[LaunchFinding]:
    """Weights, caches and compute buffers of each card, or of the host where there is none, as
    llama.cpp printed them of every context; what no log line prints is not compared."""
    memory = launch.prediction.memory
    cards = [name for name in memory.devices if is_card(name)]
    if cards and launch.config.split_mode == "tensor":
        cards = [META]
    target, others = buffers_by_context(run.log, DRAFTING)
    contexts = (target, *others.values())
    for device in cards or ["CPU"]:
        if printed := as_printed(memory.devices, device):
            yield from _device(device, printed, contexts)
    for device in cards:  # of the model and its own context alone
        own = as_printed(memory.contexts["target"], device) or DeviceMemory()
        mtp = as_printed(memory.riders.get("mtp", {}), device) or DeviceMemory()
        yield _breakdown(
            device, (own.total_bytes - own.overhead_bytes + mtp.weights_bytes) / MIB, run
        )


def _device(
    device: str, memory: DeviceMemory, contexts: Sequence[Buffers]
) -> Iterator[LaunchFinding]:
    last = [
        {name: sizes[-1:] for name, sizes in buffers.compute_mib.items()} for buffers in contexts
    ]
    parts: dict[str, tuple[int, Sequence[Mapping[str, list[float]]]]] = {
        "weights": (memory.weights_bytes, [buffers.model_mib for buffers in contexts]),
        "KV cache": (memory.kv_cache_bytes, [buffers.kv_cache_mib for buffers in contexts]),
        "compute buffer": (memory.compute_bytes, last),
    }
    for what, (n_bytes, printed) in parts.items():
        taken = sum(
            sum(sizes)
            for each in printed
            for name, sizes in each.items()
            if name == device or name.startswith(f"{device}_")  # CPU_Mapped, CPU_REPACK
        )
        yield LaunchFinding(
            what=f"{device} {what}, MiB",
            promised=f"{n_bytes / MIB:,.2f}",
            reported=f"{taken:,.2f}",
            holds=abs(n_bytes / MIB - taken) <= ROUNDED_MIB,
        )


def _breakdown(device: str, promised_mib: float, run: ServerRun) -> LaunchFinding:
    """llama.cpp's own sum for a card, in whole MiB."""
    said = run.breakdown_mib.get(device)
    return LaunchFinding(
        what=f"{device} in the breakdown at the end, MiB",
        promised=f"{promised_mib:,.0f}",
        reported=count(said[0]) if said else "not printed",
        holds=said is not None and abs(said[0] - promised_mib) <= 1,
    )


def _end(run: ServerRun) -> Iterator[LaunchFinding]:
    yield LaunchFinding(
        what="ends when it is asked to",
        promised="0",
        reported=str(run.exit_code),
        holds=run.exit_code == 0,
    )
