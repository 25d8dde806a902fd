"""All runs of all schedules: what was due, and what came of it."""
