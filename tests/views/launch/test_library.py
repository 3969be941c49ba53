"""The llama-cpp-python program, run as a user would."""

import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import llama_cpp
import pytest

from oomph.advise.launch_plan import Launch, choose
from oomph.architectures.from_gguf import read_model_file
from oomph.estimate.estimator import Estimator
from oomph.models.demo import demo_model
from oomph.programs.spelling import NoSpellingError
from oomph.views.launch.library import render_python


@pytest.fixture
def make() -> Callable[[Path], Launch]:
    def launch(path: Path) -> Launch:
        knobs = {"n_ctx": 512, "n_devices": 0, "n_threads": 1, "n_expert_used": 7, "type_k": "q8_0"}
        return choose(
            Estimator(read_model_file(path)), knobs, model_path=str(path), profile="quality"
        )

    return launch


def test_a_cache_type_that_llama_cpp_python_has_no_name_for_is_a_number(
    make_launch: Callable[..., Launch],
) -> None:
    text = render_python(make_launch("llama-3.1-8b:Q8_0", n_ctx=512, type_k="bf16"))
    assert "    type_k=30,\n    type_v=llama_cpp.GGML_TYPE_F16,\n" in text


def test_a_knob_that_llama_has_no_word_for_is_not_passed_over(
    make_launch: Callable[..., Launch],
) -> None:
    with pytest.raises(NoSpellingError, match="cannot put experts or single tensors on the CPU"):
        render_python(make_launch("qwen3-30b-a3b:Q8_0", n_ctx=512, n_cpu_moe=3))


@pytest.mark.parametrize("name", ["dense", "mixture-yarn"])
def test_every_argument_is_one_of_llamas(launches: dict[str, Launch], name: str) -> None:
    seen: dict[str, object] = {}

    class StoppedError(Exception):
        """Raised where the model would be loaded."""

    def stand_in(**arguments: object) -> None:
        seen.update(arguments)
        raise StoppedError

    program = render_python(launches[name]).replace("llama_cpp.Llama(", "stand_in(")
    with pytest.raises(StoppedError):
        exec(program, {"stand_in": stand_in})
    assert seen.keys() <= inspect.signature(llama_cpp.Llama.__init__).parameters.keys()
    assert seen["n_ctx"] == launches[name].config.n_ctx
    assert seen.get("rope_freq_scale", 1) == (1 / 2.75 if name == "mixture-yarn" else 1)


@pytest.mark.llama
def test_the_program_answers_with_the_demo_model(
    tmp_path: Path, make: Callable[[Path], Launch]
) -> None:
    program = tmp_path / "llama_cpp_python.py"
    program.write_text(render_python(make(demo_model())))
    done = subprocess.run(
        [sys.executable, program, "What is the capital of France?"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
