"""What was measured, on disk: one JSON line a point, appended, never rewritten."""
