"""Everything in Redis, and how the rows get there."""
