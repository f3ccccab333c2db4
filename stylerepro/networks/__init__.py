"""Networks: the loss networks with their weights, and the feed-forward networks with their files.

What a network is, where its weights come from, and how a picture goes through it. Losses and training may not enter.
"""
