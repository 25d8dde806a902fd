"""The proof that nothing is lost and nothing runs twice, whatever fails.

Real schedulers and workers run on real servers and are made to fail; then they are given time to
settle, and their records are compared with what was due and with what really ran:

    system     one system under test: its servers, processes and schedules
    nursery    forks the processes, `inside` is what the tests ask them to do
    points     where a process can be made to die: `settings` puts the points into it
    evidence   what the task functions wrote into a file about themselves
    checks     what has to be true afterwards; `tests.oracle` says what was due
    faults     ways to make a system suffer
    proxy      a way to Redis on which replies get lost
    harness    `make prove-harness`: the same tests have to fail on the stock classes

A test marked `case(n)` is one of the numbered cases that such a system has to survive.
"""
