"""All that is in Redis, and how the rows get there."""
