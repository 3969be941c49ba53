"""Logs of llama.cpp and the programs around it: what they report, how a run ended, and why."""
