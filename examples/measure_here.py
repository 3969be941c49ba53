"""Measure two contexts of the demo model on this machine's processor."""

import sys
from pathlib import Path

import oomph
from oomph.models.demo import demo_model

SWEEP = """
name = "two-contexts"
model = "demo"
[axes]
n_ctx = [256, 512]
n_threads = 1
n_devices = 0
[measure]
n_prompt = 32
n_gen = 4
"""
path = Path(sys.argv[1] if len(sys.argv) > 1 else "two-contexts")
path.with_suffix(".toml").write_text(SWEEP)
sweep = oomph.Sweep.load(path.with_suffix(".toml"))
with oomph.Store(path) as store:
    for record in oomph.Runner(store, oomph.LocalExecutor(), model=demo_model()).run(sweep):
        print(record.label, record.outcome.label, record.buffers.kv_cache_mib)
