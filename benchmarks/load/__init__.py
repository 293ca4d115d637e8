"""The load test, `make load`: replicas behind nginx, many clients, and an audit of every picture billed.

upstream     the emulator, which here remembers every bill
world        the processes: upstream, store, replicas, nginx
clients      what calls, a process of its own; `callers` are its two kinds of client
audit        what was billed, what is on record, what the clients got: they must agree
"""
