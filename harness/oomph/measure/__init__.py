"""The empirical side: sweeps, the worker process, probes, outcomes. Knows nothing of any estimate."""
