"""Questions that take more than one run, and their answers.

Of each: `..._command` the command line, `..._settings` what it is told, checked; the room of its own name makes the
runs; `..._answer` the types of its answer.json; `..._text` its summary. `trials` makes runs one after another,
`leaving` writes what stays.

    capacity     stages (is a load borne?), limiter (what kept it from more?), conclusion     pure
    workers      pool_sizes                                                                   pure
"""
