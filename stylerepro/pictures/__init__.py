"""Pictures: everything that makes, reads or shows a picture before any network sees it.

`images` reads, resizes and writes; `decoding` goes from bytes to numbers; `samples` are photographs inside other
packages, `paintings` the project's own styles, `assets` the files that are fetched; `plots` draws figures of pictures.
Networks, losses and runs may not enter.
"""
