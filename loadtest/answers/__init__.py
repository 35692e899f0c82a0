"""Questions that take more than one run, and their answers; what these are, as types, is in `findings`.

    capacity/    finder (the search), stages (is a load borne?), limiter (what kept it from more?), conclusion
    workers/     finder (a search for each size), pool_sizes (how many suffice?)
    cost/        ladder (more and more connections), crowd (who holds them), reading, fit
    compare/     duel (runs in turns), sides (two builds), judge (what they say), results (runs made before)
    report       draws the page of a folder again, by `redraw`

Of each, `command` is its command line, `settings` or `question` what it is told, checked, and `text` its summary.
`trials` makes runs one after another, `leaving` writes what stays.
"""
