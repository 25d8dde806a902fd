"""One run: may it start, what it does, how it ends."""
