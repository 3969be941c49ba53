"""A card's first day: steps, most valuable first, each on disk before the next."""
