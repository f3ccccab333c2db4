"""Training: recipe, photographs and the loop for feed-forward networks, and the library of those already trained.

How a network comes to be and is found again. Architectures live in networks/; runs and records may not enter.
"""
