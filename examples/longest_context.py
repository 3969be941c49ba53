"""The longest context by quantization and KV type, as rows for a spreadsheet."""

import csv
import sys

import oomph

model = sys.argv[1] if len(sys.argv) > 1 else "qwen3-14b"
rows = csv.writer(sys.stdout)
rows.writerow(["weights", "KV type", "fits with 90 %", "fits with 50 %"])
for each in oomph.max_context(model, "RTX 4070 Ti SUPER", caches=("f16", "q8_0")):
    rows.writerow([each.quantization, each.type_kv, each.sure_n_ctx, each.even_n_ctx])
