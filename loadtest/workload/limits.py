"""Bounds, choices and defaults that the options of `loadtest` and those of Locust share, each with its reason."""

FRAMINGS = ("raw", "line")
ARRIVALS = ("constant", "poisson")
NAME_LENGTH_MAX = 1024  # the greeting's longest message; in raw framing one `recv` of the server
RATE_MAX = 1_000_000.0
# Several times what a process can send; a fifth of its CPU is then spent on the plan.
RATE_PER_PROCESS_MAX = 100_000.0
CONNECT_RATE_DEFAULT = 500.0  # an elastic pool that grows for them forks some thousands a second
# Ten messages a second per connection: a load that one generator process can carry with hundreds of users
# without its own queueing becoming the latency that it reports.
PACING_DEFAULT_S = 0.1
CONNECTIONS_MAX = 20_000  # of one source address: the ephemeral ports of Linux are some 28 000
PROCESSES_MAX = 64
WORKERS_MAX = 1000
DURATION_MIN_S, DURATION_MAX_S = 0.5, 24 * 3600.0
SEED_MAX = 2**63 - 1
