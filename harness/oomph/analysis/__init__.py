"""Sets of records held against each other: paired runs, published claims, builds."""
