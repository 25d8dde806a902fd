"""RSS and Atom feeds, polled by scheduled tasks: a user of `tasks` like any other app."""
