"""A load test that tells the truth about a TCP service, or says that it cannot.

    python -m loadtest run --serve ""          start a server, load it, leave a folder of results
    locust -f loadtest/tcp_user.py             the same users under Locust's own command line and web UI

The rooms, from the top:

    commands, arguments, parameters, progress    the command line, and what it says; worker_command
    answers                              questions that take many runs; on `statistics`
    run                                  one run, end to end
    report, tables, charts               the page of a run; `pictures` holds the frame, and the pages of the answers
    verdict, metrics, thresholds         may it be believed, and is it good enough            pure
    results, timeline                    the accounts of both sides, joined                   pure
    service, generator                   the processes of a run, by `processes`
    tracker                              follows the server's processes; one of its own
    saturation, allowance                how near the server came to what it may use
    tcp_user, users, tcp                 what runs inside Locust, on `request`, `dialing`, `deadlines`, `bookkeeping`
    dialogue_user, speaking              the same for a conversation out of a file
    company_user, company, adversaries   who is there beside those that talk
    course, dispatcher, muster           when a test does what; who takes part, and their one time, by `timebase`
    lag, timerfd                         how late the generator is; a timer that is not
    web, live                            the tab "Server", with a tracker of its own
    dialogue_file, dialogue              what a conversation's file says; on `templates`, `framing`    pure
    arrivals, clocks                     what is planned; how far two clocks differ           pure
    books, histograms                    what was asked, how it ended, how long it took       pure
    settings, scenarios, talks, target, units
"""
