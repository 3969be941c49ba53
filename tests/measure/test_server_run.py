"""Launch scripts started for real: llama-server on the phantom card and on the CPU, and programs
that misbehave."""

import contextlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from oomph.advise.launch_check import held_against
from oomph.advise.launch_plan import Launch, choose
from oomph.architectures.catalogue import catalogue_model
from oomph.architectures.from_gguf import read_model_file
from oomph.cuda.backend import CudaBackend
from oomph.errors import ToolchainError
from oomph.estimate.estimator import Estimator
from oomph.gpus import gpu
from oomph.measure.server_run import ServerRun, find_server, phantom_arguments, run_server, serving
from oomph.models.demo import demo_model
from oomph.models.synth import write_synthetic
from oomph.phantom.cards import phantom_cards
from oomph.views.launch.server import render_preset, render_script

Write = Callable[[str], Path]


@pytest.fixture
def script(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        path = tmp_path / "llama-server.sh"
        path.write_text(text)
        path.chmod(0o755)
        return path

    return write


def living(session: int) -> int:
    """How many processes of a session there are, zombies not counted."""
    found = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            state, _, _, of, *_ = stat.read_text().rpartition(")")[2].split()
            found += int(of) == session and state != "Z"
    return found


@pytest.mark.phantom
@pytest.mark.llama
class TestOnThePhantomCard:
    """llama-server computes nothing there, and allocates everything."""

    @pytest.fixture
    def launch(self, qwen3_30b: Path) -> Launch:
        estimator = Estimator(read_model_file(qwen3_30b), gpu("RTX 5090"))
        knobs = {"n_ctx": 90_000, "n_expert_used": 10}
        return choose(estimator, knobs, model_path=str(qwen3_30b), profile="long-context")

    @pytest.fixture
    def run(
        self, llama_server: Path, cuda_backend: CudaBackend
    ) -> Callable[[Path, str], ServerRun]:
        def start(path: Path, cards: str = "RTX 5090") -> ServerRun:
            with phantom_cards(cards, llama_cpp=llama_server.parent) as phantom:
                environment = phantom.program_environment() | {"LLAMA_SERVER": str(llama_server)}
                found = run_server(
                    path, arguments=phantom_arguments(len(phantom.cards)), environment=environment
                )
                assert [
                    phantom.counters(card).used_bytes for card in range(len(phantom.cards))
                ] == [0] * len(phantom.cards)
                return found

        return start

    def test_the_script_keeps_every_promise(
        self, launch: Launch, run: Callable[..., ServerRun], script: Write
    ) -> None:
        found = run(script(render_script(launch)))
        findings = held_against(launch, found)
        assert [finding for finding in findings if not finding.holds] == []
        assert {"tokens in each slot", "active experts", "CUDA0 compute buffer, MiB"} <= {
            each.what for each in findings
        }
        assert found.slots == (1, 90112)
        assert found.reported.n_expert_used == 10

    def test_without_rope_scaling_the_slot_is_capped_and_the_cache_paid_for_all_the_same(
        self, launch: Launch, run: Callable[..., ServerRun], script: Write
    ) -> None:
        """Why the script carries the flags of YaRN."""
        lines = [
            line
            for line in render_script(launch).splitlines()
            if "--rope" not in line and "--yarn" not in line
        ]
        found = run(script("\n".join(lines) + "\n"))
        assert found.slots == (1, 40960)
        assert found.slot_n_ctx == 40960
        assert found.buffers.kv_cache_mib == {"CUDA0": [8448.0]}
        broken = [finding.what for finding in held_against(launch, found) if not finding.holds]
        assert broken == ["tokens in each slot", "cache types, RoPE and context as asked"]

    def test_a_card_that_is_too_small_is_told_with_the_stage(
        self, launch: Launch, run: Callable[..., ServerRun], script: Write
    ) -> None:
        (finding,) = held_against(launch, run(script(render_script(launch)), "small:20000:8.9:100"))
        assert finding.reported.startswith("oom_kv")

    def test_two_cards_share_as_predicted(
        self, qwen3_30b: Path, run: Callable[..., ServerRun], script: Write
    ) -> None:
        estimator = Estimator(read_model_file(qwen3_30b), gpu("RTX 4090"))
        knobs = {"n_ctx": 32_768, "n_devices": 2, "tensor_split": (3.0, 1.0), "n_ubatch": 512}
        launch = choose(estimator, knobs, model_path=str(qwen3_30b), profile="long-context")
        findings = held_against(launch, run(script(render_script(launch)), "RTX 4090, RTX 4090"))
        assert [finding for finding in findings if not finding.holds] == []
        assert sum("breakdown" in finding.what for finding in findings) == 2

    @pytest.mark.parametrize(
        ("name", "card", "knobs"),
        [
            (
                "granite-4.0-h-tiny",
                "small:8000:8.9:100",
                {"n_ctx": 150_000},
            ),  # no positions: only the cap is lifted
            (
                "olmoe-1b-7b",
                "small:3500:8.9:100",
                {"n_ctx": 4096},
            ),  # experts of some layers on the host
            (
                "gemma-3-1b",
                "small:4000:8.9:100",
                {"n_ctx": 60_000, "n_seq_max": 1},
            ),  # sliding windows, and YaRN
            ("qwen3-0.6b", "small:8000:8.9:100", {"n_ctx": 32_768, "n_seq_max": 4}),
        ],
    )
    def test_other_kinds_of_models_keep_every_promise(
        self,
        name: str,
        card: str,
        knobs: dict[str, int],
        run: Callable[..., ServerRun],
        script: Write,
        tmp_path: Path,
    ) -> None:
        path = write_synthetic(catalogue_model(name, "Q4_K_M"), tmp_path / "model.gguf")
        launch = choose(
            Estimator(read_model_file(path), gpu(card)),
            knobs,
            model_path=str(path),
            profile="quality",
        )
        findings = held_against(launch, run(script(render_script(launch)), card))
        assert [finding for finding in findings if not finding.holds] == []
        assert (launch.config.n_cpu_moe > 0) == (name == "olmoe-1b-7b")


@pytest.mark.llama
class TestOnTheCpu:
    """With the demo model, which answers."""

    @pytest.fixture
    def launch(self, tmp_path: Path) -> Launch:
        hostile = tmp_path / "$(touch pwned) 'a\" b.gguf"
        hostile.symlink_to(demo_model())
        spec = read_model_file(hostile)
        knobs = {
            "n_ctx": 1024,
            "n_expert_used": 7,
            "n_devices": 0,
            "n_threads": 1,
            "type_k": "q8_0",
        }
        return choose(Estimator(spec), knobs, model_path=str(hostile), profile="long-context")

    def test_the_script_of_a_hostile_name_answers_a_request(
        self,
        launch: Launch,
        llama_server: Path,
        script: Write,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        environment = {"LLAMA_SERVER": str(llama_server)}
        found = run_server(
            script(render_script(launch)),
            environment=environment,
            question="What is the capital of France?",
        )
        assert [finding for finding in held_against(launch, found) if not finding.holds] == []
        assert found.answer
        assert not (tmp_path / "pwned").exists()

    def test_the_preset_is_taken_and_its_model_answers(
        self, launch: Launch, llama_server: Path, tmp_path: Path
    ) -> None:
        preset = tmp_path / "models.ini"
        preset.write_text(render_preset(launch))
        with serving([llama_server, "--models-preset", preset]) as server:
            assert server.await_health(60) is not None
            listed = {model["id"]: model["status"] for model in server.get("/models")["data"]}
            assert "SmolLM2-135M-Instruct-8x192" in listed
            assert server.ask("What is the capital of France?", model="SmolLM2-135M-Instruct-8x192")
            status = {model["id"]: model["status"] for model in server.get("/models")["data"]}
            arguments = status["SmolLM2-135M-Instruct-8x192"]["args"]
            assert (
                arguments[arguments.index("--override-kv") + 1] == "llama.expert_used_count=int:7"
            )
            assert server.stop() == 0
            assert living(server.pid) == 0


class TestPrograms:
    """What is no llama-server."""

    def test_one_that_ends_at_once_is_told_with_its_output(self, script: Write) -> None:
        found = run_server(
            script("#!/bin/sh\necho 'error: invalid argument: --num-experts' >&2\nexit 1\n")
        )
        assert (found.health_s, found.exit_code, found.timed_out) == (None, 1, False)
        assert found.log == ("error: invalid argument: --num-experts",)

    def test_one_that_never_answers_is_ended_with_all_its_children(self, script: Write) -> None:
        silent = script("#!/bin/sh\ntrap '' INT\nsleep 1000 &\necho ready\nexec sleep 1000\n")
        with serving([silent]) as server:
            while not server.log():
                assert server.await_health(0.1) is None
            assert living(server.pid) == 2
            assert server.stop(0.2) is None
            assert living(server.pid) == 0
            assert server.has_ended()

    def test_it_is_asked_where_it_listens_and_no_other_server_is_taken_for_it(
        self, script: Write
    ) -> None:
        """One that listens for the whole network is none of ours, nor is a stranger's."""
        listen = (
            "#!/usr/bin/env python3\n"
            "import socket, subprocess, sys, time\n"
            "from http.server import BaseHTTPRequestHandler, HTTPServer\n"
            "class Healthy(BaseHTTPRequestHandler):\n"
            "    def do_GET(self):\n"
            "        self.send_response(200); self.end_headers()\n"
            '        self.wfile.write(b\'{"status": "ok"}\')\n'
            "given = sys.argv[sys.argv.index('--port') + 1]\n"
            "print('asked for', sys.argv[sys.argv.index('--host') + 1], given, flush=True)\n"
            "open_to_all = socket.create_server(('0.0.0.0', 0))\n"
            "print('http://127.0.0.1:1', flush=True)\n"
            "HTTPServer(('127.0.0.1', int(given)), Healthy).serve_forever()\n"
        )
        with serving([script(listen)]) as server:
            assert server.url == ""
            assert server.await_health(20) is not None
            assert re.fullmatch(r"http://127\.0\.0\.1:\d{4,5}", server.url)
            assert server.log()[0] == "asked for 127.0.0.1 0"
            assert server.get("/health") == {"status": "ok"}

    def test_one_that_is_healthy_before_it_works_is_not_asked_to_end_between(
        self, script: Write
    ) -> None:
        """llama-server forgets a signal that comes before it waits for requests."""
        busy_at_first = (
            "#!/usr/bin/env python3\n"
            "import signal, sys\n"
            "from http.server import BaseHTTPRequestHandler, HTTPServer\n"
            "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
            "class Healthy(BaseHTTPRequestHandler):\n"
            "    def do_GET(self):\n"
            "        if self.path == '/slots':\n"
            "            signal.signal(signal.SIGINT, lambda *_: sys.exit(0))\n"
            "        self.send_response(200); self.end_headers()\n"
            '        self.wfile.write(b\'{"status": "ok"}\')\n'
            "HTTPServer(('127.0.0.1', 0), Healthy).serve_forever()\n"
        )
        assert run_server(script(busy_at_first)).exit_code == 0

    def test_whatever_happens_in_the_block_nothing_stays(self, script: Write) -> None:
        with (
            pytest.raises(RuntimeError, match="meanwhile"),
            serving([script("#!/bin/sh\nexec sleep 1000\n")]) as server,
        ):
            raise RuntimeError("meanwhile")
        assert living(server.pid) == 0

    def test_a_server_that_cannot_run_is_one_sentence(self, tmp_path: Path) -> None:
        with pytest.raises(
            ToolchainError,
            match=r"missing cannot be run; name one with --server, or install "
            r"llama.cpp",
        ):
            find_server(tmp_path / "missing")

    def test_a_given_server_goes_before_the_environments(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        paths = [tmp_path / name for name in ("given", "llama-server")]
        for path in paths:
            path.write_text("#!/bin/sh\n")
            path.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.delenv("LLAMA_SERVER", raising=False)
        assert find_server() == paths[1]
        monkeypatch.setenv("LLAMA_SERVER", str(paths[0]))
        assert find_server() == paths[0]
        assert find_server(paths[1]) == paths[1]
