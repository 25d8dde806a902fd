"""A busy shop's site, for pictures: its task functions, its schedules and their last seven days."""
