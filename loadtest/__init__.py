"""A load test that tells the truth about a TCP service, or says that it cannot.

    python -m loadtest run --serve ""          start a server, load it, leave a folder of results
    locust -f loadtest/tcp_user.py             the same users under Locust's own command line and web UI

The rooms, from the top: `__main__` and `commands` (the command line), `run` (one run, end to end), `report` and
`charts` (the page), `verdict` and `timeline` (pure: what the numbers mean), `service`, `generator` and `tracker`
(the processes of a run), `tcp_user`, `users` and `bookkeeping` (inside Locust), `books` (pure: counts and histograms).
"""
