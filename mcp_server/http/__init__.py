"""Over the network: who may call, what a request may be, and how long it may take.

A request passes, in this order:

    patience     the head of a request comes in time, or the connection is closed
    log          its id, and a line when it is answered
    health       /healthz and /readyz, for anybody
    origins      the hosts and web pages that are let in
    access       bearer tokens; those of an OAuth issuer (oauth, issuer)
    limits       how many at once; none that is new while the server ends
    bodies       the body, whole, not too large and not too slow
    disconnect   a client that leaves too early is noticed
    mailroom     with many replicas: what belongs to another of them (sessions, replicas, inner)
    the SDK      Streamable HTTP and SSE

`layers` builds that, `serve` runs it; `replies` are refusals.
"""
