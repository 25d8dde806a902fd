"""Example task functions: start with these to see how schedules and background calls behave."""
