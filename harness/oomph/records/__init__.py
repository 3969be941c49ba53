"""What was measured, on disk: one JSON line per point, appended, never rewritten."""
