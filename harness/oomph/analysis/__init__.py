"""Sets of records held against each other: paired runs, quality, published claims."""
