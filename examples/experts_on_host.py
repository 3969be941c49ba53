"""What each layer of experts that stays in RAM frees on the card, and costs in speed."""

import oomph

estimator = oomph.Estimator("gpt-oss-120b:MXFP4", "RTX 5090")
fewest = estimator.min_cpu_moe(n_ctx=32_768)
print(f"the experts of at least {fewest} layers must stay on the host")

for n_cpu_moe in range(fewest, 37, 4):
    found = estimator.predict(oomph.RunConfig(n_ctx=32_768, n_cpu_moe=n_cpu_moe), longest=False)
    vram = found.memory.total_vram_bytes / 2**30
    print(f"{n_cpu_moe:3} layers: {vram:5.1f} GiB, {found.speed.decode_tokens_per_s:5.1f} tokens/s")
