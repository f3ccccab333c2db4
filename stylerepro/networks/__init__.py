"""Networks: what a network is, where its weights come from, and how a picture goes through it.

`specs` says what each loss network is, `loss_network` gives features by the documents' layer names, `weights` finds and
reads their files; `feed_forward` holds the networks that restyle in one pass, `naming` what people call them,
`checkpoints` their files, `inference` the ways to run them fast. Losses, training and measures may not enter.
"""
