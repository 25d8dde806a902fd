"""When a spec is due, in words, and what to catch up on. Pure, except for `describe`."""
