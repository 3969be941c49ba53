"""What is said of a compilation that failed, and of a machine that cannot compile."""

import pytest

from oomph.errors import ToolchainError
from oomph.measure import cuda_setup
from oomph.measure.cuda_setup import build_with_cuda, cause


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "-- Found CUDA\nCMake Error in a/CMakeLists.txt:\n\n  Target needs CUDA::cublas\nmore",
            "CMake Error in a/CMakeLists.txt: Target needs CUDA::cublas",
        ),
        (
            "[1/2] cc\nx.cu(3): error: no such type\nninja: stopped\nERROR: Failed building wheel",
            "x.cu(3): error: no such type",
        ),
        (
            "  ERROR: No matching distribution found for llama-cpp-python==9",
            "ERROR: No matching distribution found for llama-cpp-python==9",
        ),
        ("killed", "killed"),
        ("", "no message"),
    ],
)
def test_the_line_that_says_why_is_found(text: str, said: str) -> None:
    assert cause(text) == said


def test_without_nvcc_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(cuda_setup, "NVCC", ())
    with pytest.raises(
        ToolchainError, match="install NVIDIA's CUDA toolkit for --build, or leave --build out"
    ):
        next(build_with_cuda(print))
