"""A load test that tells the truth about a TCP service, or says that it cannot.

    python -m loadtest run --serve ""          start a server, load it, leave a folder of results
    locust -f loadtest/tcp_user.py             the same users under Locust's own command line and web UI

The rooms, from the top; imports only point down (checked):

    commands, arguments, parameters, usage   the command line; `progress` says how things stand, worker_command joins in
    answers/                          questions that take many runs: capacity, workers, cost, compare; report
    run                               one run, end to end
    drive                             loads on services, one alone or two in turns, and what is seen of them
    service, generator, tracker       its processes: the server, Locust, and who watches both; on `processes`
    scrape                            a server on another host, by its metrics endpoint
    tcp_user, dialogue_user, background_user    the locustfiles
    users, tcp                        the users that greet, and the base of your own
    speaking                          the user that holds a conversation out of a file
    conversation                      what both say and hear over a socket; without Locust
    company, adversaries              who is there beside those that talk
    web, live                         the tab "Server" in Locust's web UI
    engine/                           what carries them inside Locust: the plan, the clocks, the deadlines, the books
    pictures/                         what is drawn: a run, the answers, what both share
    findings/                         what the answers are, as types                               pure
    verdict, metrics, thresholds      may it be believed, and is it good enough                    pure
    stored, results, timeline, tallies   what a run leaves; the accounts of both sides, joined and compared
    saturation, allowance             how near the server came to what it may use
    dialogues/                        what a conversation's file says, framing, templates
    statistics/                       search, the scalability law, slopes, bootstrap               pure
    arrivals, slots, scenarios        what is planned, whose time it is, and how the load moves    pure
    books, histograms                 what was asked, how it ended, how long it took               pure
    settings, options, talks, target, units, files, status_line
"""
