"""One run: whether it may start, what it does, how it ends."""
