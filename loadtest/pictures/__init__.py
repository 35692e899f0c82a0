"""What the results look like. Pure but for `bundle` and the template that `page` reads.

capacity, workers, cost, comparison    the page of each answer: `page(answer, bundle.script(folder))`
page                                   the frame that all pages share, a run's report too
plot                                   colours, lines and axes, as the plain values that Plotly takes
stalls                                 the spells in which a service stood still
bundle                                 Plotly itself: an answer shares it with its runs (`share`, before the first)
"""
