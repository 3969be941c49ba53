"""The empirical side: sweeps, the worker process, probes, outcomes."""
