"""Stage ``report``: the paper's tables over all runs, and one page that sets "paper" beside "reproduced"."""
