"""The proof that nothing is lost and nothing runs twice, whatever fails.

Real schedulers and workers run on real servers and have faults injected; then they get time to
settle, and their records are compared with what was due and with what really ran:

    system           one system under test: its servers, processes, schedules and records
    fork_server      forks the processes of a system, 20 times faster than starting them
    schedules        makes and deletes schedules, in a process of the system
    settings         the settings of those processes
    kill_points      the points at which a process can be made to die, wait or miss a reply
    faults           starts processes that fail at such points
    proxy            a way to Redis on which replies get lost
    tests.faketime   the clock of a process, or of Redis, which a test sets while it runs
    network          ways to the servers that can be cut, for each process its own
    evidence         what the task functions wrote into a file about themselves
    checks           what has to be true afterwards; `tests.oracle` says what was due
    stock_recording  how a user of the stock classes would record runs
    harness          `make prove-harness`: the same tests have to fail on the stock classes

With PROOF_CONCURRENCY=N in the environment, the functions are coroutines, and workers run up to N
of them side by side: the same has to be true.

A test marked `case(n)` is one of the numbered cases that such a system has to survive.
"""
