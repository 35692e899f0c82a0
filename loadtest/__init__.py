"""A load test of TCP services whose results can be trusted, or are reported as invalid.

    python -m loadtest run --serve ""          start a server, load it, write a folder of results
    locust -f loadtest/tcp_user.py             the same users under Locust's own command line and web UI

The packages, from the top; imports only point down (checked):

    cli/            the command line: one module for each command, and their options
    answers/        questions that take many runs: capacity, workers, cost, compare
    users/          the users in Locust: greeting, dialogue, background, misbehaving; TcpUser is the base of your own
    runs/           one run, end to end: its settings, the server, the generator; several loads at the same time
    web/            the tab "Server" in Locust's web UI
    report/         charts, tables and pages
    engine/         inside Locust, beneath the users: schedule, clock, deadlines, statistics
    results/        what a run leaves: document, timeline, comparison with the server's counters, verdict
    sampler/        a process that samples the server's and the generator's processes; the server's metrics endpoint
    workload/       what is requested, and when: settings, scenarios, arrivals, dialogues, targets
    stats/          what came of it: counters, histograms, statistics of a run
    statistics/     search, the scalability law, slopes, bootstrap
    base/           files, processes, interrupts, units

`tcp_user`, `dialogue_user` and `background_user` are the locustfiles.
"""
