"""Hold the estimate against published measurements, and draw the two against each other."""

import sys
from pathlib import Path

import oomph

folder = Path(__file__).parent.parent / "results" / "h200" / "first-card"
records = [r for r in oomph.read_records([folder]) if r.model.name == "qwen3-30b-a3b"]
estimator = oomph.Estimator("qwen3-30b-a3b:Q4_K_M", "H200")
compared = oomph.compare(estimator, records)
print(f"{len(records)} records, {len(compared)} quantities")

target = Path(sys.argv[1] if len(sys.argv) > 1 else "predicted-and-measured.svg")
oomph.plot_predicted_vs_measured(compared).savefig(target)
print(target)
