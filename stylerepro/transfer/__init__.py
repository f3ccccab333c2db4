"""Transfer: the losses, the objective made of them, the optimisers and the history of an optimisation.

The whole algorithm: losses, objective, optimisers, transfer, in this order. Nothing here reads or writes a file.
"""

from stylerepro.transfer.transfer import transfer as transfer
