"""The host's memory in words: each state in both languages, nothing that is not there."""

import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomph.config import RunConfig
from oomph.estimate.host import HostFit, HostMemory, host_fit
from oomph.units import GIB, MIB
from oomph.views.host import host_paragraph
from oomph.views.language import LANGUAGES, NBSP

SIZES = st.sampled_from([0, MIB, 300 * MIB, 9 * GIB])
MEMORIES = st.builds(
    HostMemory,
    process_bytes=st.just(440 * MIB),
    weights_bytes=SIZES,
    mapped_bytes=SIZES,
    cache_bytes=SIZES,
    buffer_bytes=SIZES,
    checkpoints_bytes=SIZES,
    prompt_cache_bytes=st.none() | SIZES,
)
FITS = st.builds(host_fit, MEMORIES, st.none() | st.integers(0, 40 * GIB), is_shared=st.booleans())
CONFIGS = st.builds(RunConfig, n_seq_max=st.integers(1, 5), n_devices=st.integers(0, 1))
MEMORY = HostMemory(
    process_bytes=440 * MIB,
    weights_bytes=0,
    mapped_bytes=2 * GIB,
    cache_bytes=0,
    buffer_bytes=60 * MIB,
    checkpoints_bytes=GIB,
    prompt_cache_bytes=8 * GIB,
)


@given(FITS, CONFIGS)
def test_both_languages_say_the_same_figures_on_one_line(host: HostFit, config: RunConfig) -> None:
    english, russian = (host_paragraph(host, config, language) for language in LANGUAGES)
    assert "\n" not in english + russian
    assert not {"{", "}"} & {*english, *russian}
    assert NBSP not in english
    figures = [
        re.findall(r"\d+", re.sub(rf"(?<=\d)[,{NBSP}](?=\d)", "", text))
        for text in (english, russian)
    ]
    assert sorted(figures[0]) == sorted(figures[1])


@pytest.mark.parametrize(
    ("room", "words"),
    [
        (None, "What RAM the machine has was not said (--ram)."),
        (64 * GIB, "The RAM has room for all of it and 53,772 MiB more."),
        (4 * GIB, "once the caches are full, the system may kill it. These fit: --cache-ram"),
        (GIB, "read from the disk again and again."),
        (100 * MIB, "There is room for 100 MiB beside the system: it does not load."),
    ],
)
def test_how_the_ram_stands_to_it(room: int | None, words: str) -> None:
    said = host_paragraph(host_fit(MEMORY, room), RunConfig(n_devices=1))
    assert words in said
    assert said.startswith(
        "Host memory: 500 MiB are held from the start (buffers 60 MiB, the program and CUDA 440 "
        "MiB); 2,048 MiB of weights are pages of the file"
    )


def test_an_estimate_is_said_without_jinja() -> None:
    """It would take a third of its time."""
    asked = "import sys; sys.argv[1:] = ['estimate', 'qwen3-8b:Q4_K_M', '--gpu', 'RTX 4090']\n"
    asked += "from oomph.cli import main\ntry: main()\nfinally: print('jinja2' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines()[-1] == "False"
    assert "Host memory" in done.stdout
