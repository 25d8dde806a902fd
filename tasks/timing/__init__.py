"""When it is due, in words, and what to catch up: pure, but for `describe`."""
