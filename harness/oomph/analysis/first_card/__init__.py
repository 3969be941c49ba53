"""A card's first day: what is expected of it beforehand, and the verdict afterwards."""
