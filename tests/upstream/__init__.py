"""rq-scheduler's own tests, run on its class and on ours: `make rq-scheduler-suite CHECKOUT=…`.

Its releases come without them, so they are read from a checkout of its repository. Nothing of that
is copied here, and nothing is written there.
"""
