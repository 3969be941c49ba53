"""How long a question takes: whole processes, as multiples of `python -c pass` beside them.

    python bench/instant.py run [--sample N] [--warm] [--dry-run] [--peer NAME=COMMAND] >ROWS.jsonl
    python bench/instant.py table ROWS.jsonl

`run` asks each model of the catalogue (N of them, evenly spread) for every command, on 1, 2 and 8
cards, at its own context and at the longest that its positions allow. A row has CPU seconds, those
of `python -c pass` a moment before, wall seconds and the most memory that was resident. The cache
folder of a question is `cold`: it has what any earlier question leaves, as compiled texts, and
nothing of its model; `first` are questions to an empty one, and with --warm each is put again to
the folder that it has filled. --dry-run asks llama.cpp itself (no_alloc, on a phantom of the
card) and --peer another program, a word {file} of whose command is the model's sparse file. Exit
code 1 where a command ends in neither an answer nor a sentence.
"""

import argparse
import json
import os
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from math import ceil
from pathlib import Path
from statistics import median
from typing import Final

from oomph.architectures.catalogue import catalogue_names
from oomph.architectures.rope import native_context, positions
from oomph.architectures.source import read_model
from oomph.architectures.spec import ModelSpec
from oomph.config import RunConfig
from oomph.errors import ToolchainError
from oomph.gpus import gpu
from oomph.measure.dry_run import Llama, dry_run
from oomph.models.synth import write_synthetic
from oomph.phantom.cards import PhantomCard, phantom_cards
from oomph.units import MIB

CARD: Final = "RTX 4090"
N_CARDS: Final = (1, 2, 8)
QUANTIZATION: Final = "Q4_K_M"
OOMPH: Final = (sys.executable, "-c", "from oomph.cli import main; main()")
ENDS: Final = (0, 2)
"""Answered, or refused in one sentence."""
N_PASSES: Final = 3
N_FRONT: Final = 7
"""How often the commands without a model are asked."""
N_FIRST: Final = 7
"""Questions of the first model that are put to an empty cache folder too, each command on one card
among them."""
DRY_RUN: Final = "llama.cpp's dry run"
_LAUNCH: Final = """
import json, os, subprocess, sys, time
quiet = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
for line in sys.stdin:
    command, environment = json.loads(line)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # a user's bytecode is cached
    begun = time.perf_counter()
    child = subprocess.Popen(command, env=environment, **quiet)
    _, status, used = os.wait4(child.pid, 0)
    taken = used.ru_utime + used.ru_stime, time.perf_counter() - begun, used.ru_maxrss * 1024
    child.returncode = os.waitstatus_to_exitcode(status)
    print(json.dumps([*taken, child.returncode]), flush=True)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of a model (none for --help): the command's words without `oomph`."""

    command: str
    model: str
    n_cards: int
    n_ctx: int
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What a process took: seconds, bytes (None where nobody looked), and its exit code."""

    cpu_s: float
    wall_s: float
    peak_bytes: int | None
    code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A question, what it took, and the CPU seconds of `python -c pass` at that moment."""

    command: str
    model: str
    n_cards: int
    n_ctx: int
    cache: str
    cpu_s: float
    wall_s: float
    peak_bytes: int | None
    pass_s: float
    code: int

    @property
    def multiple(self) -> float:
        """CPU time in units of Python's own start."""
        return self.cpu_s / self.pass_s


def sampled(names: Sequence[str], n: int | None) -> list[str]:
    """`n` names, evenly spread from the first to the last; all where `n` is None or no less."""
    if n is None or n >= len(names):
        return list(names)
    return [names[round(i * (len(names) - 1) / max(n - 1, 1))] for i in range(n)]


def contexts(spec: ModelSpec) -> tuple[int, ...]:
    """The model's own context, and the longest that its positions allow where that is another."""
    return tuple(dict.fromkeys((native_context(spec), positions(spec).furthest)))


def questions(name: str) -> Iterator[Question]:
    """All that is asked of the catalogue's model `name`."""
    model = f"{name}:{QUANTIZATION}"
    spec = read_model(model)
    for n_cards in N_CARDS:
        cards = ("--gpu", f"{n_cards}x{CARD}" if n_cards > 1 else CARD)
        for n_ctx in contexts(spec):
            for command, words in (
                ("estimate", ("estimate", model)),
                ("answer", ("answer", model)),
                ("explain", ("explain", "context", "--model", model)),
            ):
                asked = (*words, *cards, "-c", str(n_ctx))
                yield Question(
                    command=command, model=name, n_cards=n_cards, n_ctx=n_ctx, words=asked
                )
        yield Question(
            command="max-context",
            model=name,
            n_cards=n_cards,
            n_ctx=0,
            words=("max-context", name, *cards),
        )


class Launcher:
    """Starts processes from a small one: Linux counts as a child's peak what its parent held when
    it was started."""

    def __init__(self) -> None:
        self._helper = subprocess.Popen(
            (sys.executable, "-I", "-S", "-c", _LAUNCH),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def timed(self, command: Sequence[str], environment: Mapping[str, str]) -> Taken:
        """Run `command` to its end with what it says thrown away."""
        assert self._helper.stdin is not None
        assert self._helper.stdout is not None
        print(json.dumps([command, dict(environment)]), file=self._helper.stdin, flush=True)
        cpu_s, wall_s, peak_bytes, code = json.loads(self._helper.stdout.readline())
        return Taken(cpu_s=cpu_s, wall_s=wall_s, peak_bytes=peak_bytes, code=code)

    def pass_seconds(self) -> float:
        """CPU seconds of `python -c pass`, the median of a few."""
        command = (sys.executable, "-c", "pass")
        return median(self.timed(command, os.environ).cpu_s for _ in range(N_PASSES))

    def close(self) -> None:
        """End the small process."""
        self._helper.communicate()


def usual_environment(cache: Path) -> dict[str, str]:
    """This one, but that oomph keeps what it keeps in `cache`."""
    return os.environ | {"OOMPH_CACHE": str(cache)}


def asked(
    launcher: Launcher, question: Question, texts: Path | None, *, warm: bool
) -> Iterator[Row]:
    """The question put to a cache folder that has `texts`, the compiled ones, and with `warm`
    again to what it has left there."""
    with tempfile.TemporaryDirectory(prefix="oomph-instant-") as folder:
        environment = usual_environment(Path(folder))
        if texts is not None:
            shutil.copytree(texts, Path(folder) / texts.name)
        for cache in ("first" if texts is None else "cold", *(("warm",) if warm else ())):
            unit = launcher.pass_seconds()
            taken = launcher.timed((*OOMPH, *question.words), environment)
            yield _row(question, taken, unit, cache)


def _row(question: Question, taken: Taken, unit: float, cache: str) -> Row:
    told = {key: value for key, value in asdict(question).items() if key != "words"}
    return Row(**told, **asdict(taken), pass_s=unit, cache=cache)


def counted(launcher: Launcher, name: str, file: Path) -> Iterator[Row]:
    """llama.cpp's own dry run of the same configurations, each a process of its own."""
    spec = read_model(f"{name}:{QUANTIZATION}")
    for n_cards in N_CARDS:
        for n_ctx in contexts(spec):
            question = Question(command=DRY_RUN, model=name, n_cards=n_cards, n_ctx=n_ctx, words=())
            unit = launcher.pass_seconds()
            yield _row(question, _dry_run(spec, file, question), unit, "none")


def _dry_run(spec: ModelSpec, file: Path, question: Question) -> Taken:
    config = RunConfig(n_ctx=question.n_ctx, n_devices=question.n_cards, flash_attn="auto")
    begun, before = time.perf_counter(), _children_seconds()
    code = 0
    with phantom_cards([PhantomCard(spec=gpu(CARD))] * question.n_cards) as phantom:
        llama = Llama(backend_path=phantom.backend_path, environment=phantom.environment())
        try:
            list(dry_run(file, spec.arch, [config], llama=llama))
        except ToolchainError as error:
            print(f"{question.model}: {error}", file=sys.stderr)
            code = 2
    return Taken(
        cpu_s=_children_seconds() - before,
        wall_s=time.perf_counter() - begun,
        peak_bytes=None,
        code=code,
    )


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def beside(launcher: Launcher, peer: str, name: str, file: Path) -> Row:
    """Another program, `peer` as NAME=COMMAND, on the model's sparse file."""
    called, _, command = peer.partition("=")
    words = [word.replace("{file}", str(file)) for word in shlex.split(command)]
    unit = launcher.pass_seconds()
    question = Question(command=called, model=name, n_cards=0, n_ctx=0, words=())
    return _row(question, launcher.timed(words, os.environ), unit, "none")


def measured(launcher: Launcher, options: argparse.Namespace) -> Iterator[Row]:
    """Every row that is asked for."""
    with tempfile.TemporaryDirectory(prefix="oomph-instant-") as folder:
        texts = Path(folder) / "texts"
        for words in (("--help",), ("--version",), ("no-such-command",)):
            front = Question(command=words[0], model="", n_cards=0, n_ctx=0, words=words)
            for _ in range(N_FRONT):
                yield from asked(launcher, front, None, warm=False)
        names = sampled(catalogue_names(), options.sample)
        for question in islice(questions(names[0]), N_FIRST):
            yield from asked(launcher, question, None, warm=False)
            launcher.timed((*OOMPH, *question.words), usual_environment(Path(folder)))
        for name in names:
            for question in questions(name):
                yield from asked(launcher, question, texts, warm=options.warm)
            if options.dry_run or options.peer:
                yield from _others(launcher, name, options)


def _others(launcher: Launcher, name: str, options: argparse.Namespace) -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="oomph-sparse-") as folder:
        file = Path(folder) / "model.gguf"
        write_synthetic(read_model(f"{name}:{QUANTIZATION}"), file)
        if options.dry_run:
            yield from counted(launcher, name, file)
        for peer in options.peer:
            yield beside(launcher, peer, name, file)


def share(values: Sequence[float], part: float) -> float:
    """The value that `part` of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(ceil(part * len(ordered)), 1) - 1]


def table(rows: Iterable[Row]) -> str:
    """A Markdown table: for each command and number of cards the median, the 95th of a hundred and
    the worst multiple of `python -c pass`, whose it is, and the most memory of any."""
    groups: dict[tuple[str, str, int], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.command, row.cache, row.n_cards].append(row)
    lines = [
        "| question | cache | cards | asked | p50 | p95 | worst | of | worst s | MiB |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- | ---: | ---: |",
    ]
    for (command, cache, n_cards), group in groups.items():
        multiples = [row.multiple for row in group]
        worst = max(group, key=lambda row: row.multiple)
        of = f"{worst.model} at {worst.n_ctx:,}" if worst.n_ctx else worst.model or "–"
        peak = max((row.peak_bytes for row in group if row.peak_bytes), default=0)
        lines.append(
            f"| {command} | {cache} | {n_cards or '–'} | {len(group):,} "
            f"| {median(multiples):.1f} | {share(multiples, 0.95):.1f} | {worst.multiple:.1f} "
            f"| {of} | {worst.cpu_s:.2f} | {f'{peak / MIB:,.0f}' if peak else '–'} |"
        )
    return "\n".join(lines) + "\n"


def read_rows(path: Path) -> Iterator[Row]:
    """The rows that `run` wrote."""
    for line in path.read_text(encoding="utf-8").splitlines():
        yield Row(**json.loads(line))


def main(arguments: Sequence[str]) -> int:
    """Run, or show what ran; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    kinds = parser.add_subparsers(dest="kind", required=True)
    run = kinds.add_parser("run")
    run.add_argument("--sample", type=int)
    run.add_argument("--warm", action="store_true")
    run.add_argument("--dry-run", action="store_true")
    run.add_argument("--peer", action="append", default=[], metavar="NAME=COMMAND")
    kinds.add_parser("table").add_argument("rows", type=Path)
    options = parser.parse_args(arguments)
    if options.kind == "table":
        print(table(read_rows(options.rows)), end="")
        return 0
    launcher, failed = Launcher(), 0
    try:
        for row in measured(launcher, options):
            print(json.dumps(asdict(row)), flush=True)
            failed += row.cache != "none" and row.code not in ENDS
    finally:
        launcher.close()
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
