"""Training: how a feed-forward network comes to be, and is found again.

`recipe` (every setting, and the loss), `photographs` (which picture, which part), `train` (the loop, its checkpoint),
`library` (committed and own networks). Architectures live in networks/; runs and records may
not enter.
"""
