"""Questions that take more than one run, and their answers.

    capacity/    finder (the search), stages (does a load hold?), early_stop, bottleneck, conclusion
    workers/     finder (a search for each size of the pool), pool_sizes (how many suffice?)
    cost/        steps (more and more connections), connections (those held), reading, fit
    compare/     paired_runs, builds (the two servers), verdict, results (runs made before)

In each folder `question` or `settings` are the checked input, `answer` the types of `answer.json`, `text` the summary
for a terminal and `page` the report. `trials` makes runs one after another; `output` writes and draws the answers.
"""
