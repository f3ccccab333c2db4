"""Studies: what serves one experiment and is too long to stand in its notebook.

`compression` (HOSVD, HONMF+SVD, and controls of equal error), `convergence` (optimisations followed on their way),
`costs` (of a step, and of a network against the machine), `distillation` (of the compact loss network), `agreement` (of
two loss networks).
What two rooms need may not enter; no study imports another.
"""
