"""A busy shop's site, for pictures: its task functions, its schedules and their last seven days."""

USER, PASSWORD = "ops-lead", "only-for-the-pictures"
ZONE = "Europe/Berlin"
# The schedule that has the most to tell.
SHOWN = "Order export to the warehouse"
