"""When a spec is due, in words, and what to catch up. Pure, except for `describe`."""
