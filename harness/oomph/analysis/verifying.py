"""Which llama.cpp `oomph verify` asks: the installed one, a library, or a llama-server."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from oomph.analysis.verify import SAMPLE, Verified, verify, verify_server
from oomph.calibrate.bounds import keep_bound
from oomph.cards import Card
from oomph.errors import ConfigError
from oomph.estimate.build import build_of
from oomph.estimate.trust import build_of_commit, known_build
from oomph.frozen import frozen
from oomph.gpus import GpuSpec
from oomph.measure.cuda_route import cuda_route
from oomph.measure.dry_run import Llama
from oomph.measure.nvml import detect_gpus
from oomph.measure.server_counts import server_build
from oomph.measure.server_run import find_server
from oomph.phantom.cards import Phantom
from oomph.records.environment import llama_cpp_commit


@frozen
class Asked:
    """Who is asked, in words (`what`), the build's number where it is known, and the cards that it
    sees."""

    what: str
    build: int | None
    llama: Llama
    server: Path | None = None
    phantom: Phantom | None = None
    cards: tuple[Card, ...] = ()

    @classmethod
    def of(
        cls,
        server: Path | None,
        library: Path | None,
        header: Path | None,
        *,
        build: int | None,
        phantom: Phantom | None,
    ) -> Self:
        """What the options name; ConfigError for some that exclude each other, or for a build that
        never was."""
        build_of(build)
        if (library is None) != (header is None) or (library and (server or phantom)):
            raise ConfigError("--library needs its --header, and neither --server nor --phantom")
        if server:
            server = find_server(server)
            number, commit = server_build(server)
            build = build or number or build_of_commit(commit)
            what = f"{server.name} {_named(build, commit)}"
            return cls(what=what, build=build, llama=Llama(), server=server, phantom=phantom)
        if library:
            llama = Llama(library=library.absolute(), header=header)
            return cls(what=f"{library.name} {_named(build, None)}", build=build, llama=llama)
        commit = llama_cpp_commit()
        build = build or build_of_commit(commit)
        llama, cards = _installed(phantom)
        place = f"on {cards[0].name}" if cards else "on the CPU"
        what = f"the installed llama.cpp {_named(build, commit)} {place}"
        return cls(what=what, build=build, llama=llama, phantom=phantom, cards=cards)

    def keep(self, found: Sequence[Verified]) -> Path | None:
        """Keep the bound of a build whose number is known and which no table calls seen; the file,
        if it was."""
        held = [each for each in found if not each.failed]
        has_cards = bool(self.cards or self.phantom)
        if not held or self.build is None:
            return None
        if known_build(self.build, has_cards=has_cards) == "seen":
            return None
        share = max(each.compute_share for each in held)
        return keep_bound(self.build, share, [e.model for e in held], has_cards=has_cards)


def verify_asked(asked: Asked, models: Sequence[str]) -> Iterator[Verified]:
    """These models, or a sample of the catalogue, against who is asked."""
    models = models or SAMPLE
    if asked.server:
        return verify_server(models, asked.server, build=asked.build, phantom=asked.phantom)
    return verify(models, llama=asked.llama, build=asked.build, cards=asked.cards)


def _named(build: int | None, commit: str | None) -> str:
    told = f"b{build}" if build else "of an unknown build"
    return f"{told} ({commit})" if commit else told


def _installed(phantom: Phantom | None) -> tuple[Llama, tuple[Card, ...]]:
    """The wheel on the first phantom card, on this machine's first, or on the CPU."""
    if phantom:
        llama = Llama(backend_path=phantom.backend_path, environment=phantom.environment([0]))
        return llama, _first(phantom.specs)
    route = cuda_route()
    gpus = detect_gpus() if route else ()
    if route is None or not gpus:
        return Llama(), ()
    first = {"CUDA_VISIBLE_DEVICES": "0"}
    return Llama(backend_path=route.backend_path, environment=first), _first(gpus)


def _first(specs: Sequence[GpuSpec]) -> tuple[Card, ...]:
    return tuple(Card(spec=each, memory_bytes=each.memory_bytes) for each in specs[:1])
