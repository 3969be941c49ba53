"""A prediction shows itself: in GiB on a terminal, as a table in a notebook."""

from dataclasses import replace

from oomph.config import RunConfig
from oomph.estimate.estimator import Estimator
from oomph.estimate.host import HostMemory, host_fit
from oomph.estimate.prediction import DeviceMemory, MemoryEstimate, Prediction

NOTHING = HostMemory(
    process_bytes=0,
    weights_bytes=0,
    mapped_bytes=0,
    cache_bytes=0,
    buffer_bytes=0,
    checkpoints_bytes=0,
    prompt_cache_bytes=0,
)
SMALL = Prediction(
    model="a <b> model",
    host=host_fit(NOTHING, None),
    config=RunConfig(n_ctx=8192, n_expert_used=6),
    memory=MemoryEstimate(
        devices={
            "CUDA0": DeviceMemory(weights_bytes=3 << 30, kv_cache_bytes=1 << 29),
            "CPU": DeviceMemory(weights_bytes=1 << 28),
        }
    ),
)


def test_a_terminal_shows_sizes_in_gib() -> None:
    assert str(SMALL).splitlines() == [
        "a <b> model, n_ctx 8,192, 6 active experts",
        "CUDA0: 3.50 GiB = weights 3.00 GiB + KV cache 0.50 GiB",
        "CPU: 0.25 GiB = weights 0.25 GiB",
    ]


def test_what_fits_and_how_fast_is_said_where_it_is_known() -> None:
    lines = str(Estimator("qwen3-30b-a3b:Q4_K_M", "3090").predict(RunConfig(n_ctx=8192)))
    assert "\nfits (fitting is more than 99 % likely)\nlargest n_ctx that fits: " in lines
    assert "\ndecode at depth 0: " in lines
    short = replace(SMALL, fits=False, fit_probability=0.3, speed_reason="it cannot load")
    assert str(short).splitlines()[-2:] == [
        "does not fit (fitting is 30 % likely)",
        "no speed: it cannot load",
    ]


def test_a_notebook_shows_a_table_whose_foreign_text_is_text() -> None:
    page = SMALL._repr_html_()
    assert "a &lt;b&gt; model" in page
    assert "<b>" not in page
    assert "<tr><th>weights</th><td>3.00 GiB</td><td>0.25 GiB</td></tr>" in page
    assert "<tr><th>KV cache</th><td>0.50 GiB</td><td></td></tr>" in page
    assert "<tr><th>total</th><td>3.50 GiB</td><td>0.25 GiB</td></tr>" in page
    assert "recurrent" not in page
