"""What a row of each foreign tool means: its place, its settings, its timings, as a record."""
