"""How rows of schedules, calendars and calls are written and brought to Redis."""
