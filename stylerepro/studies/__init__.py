"""Studies: what serves one experiment and is too long to stand in its notebook.

Compression, distillation, costs, convergence. What two rooms need belongs elsewhere; no study imports another.
"""
