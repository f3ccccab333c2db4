"""Pictures: read, resized, written and drawn; the samples, the paintings and the files that are fetched.

Everything that makes or shows a picture before any network sees it. Networks, losses and runs may not enter.
"""
