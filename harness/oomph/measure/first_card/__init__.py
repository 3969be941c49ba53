"""A card's first day: a protocol of steps, most valuable first, each on disk before the next."""
