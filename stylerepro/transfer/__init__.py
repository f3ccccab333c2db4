"""Transfer: the picture itself is optimised until its features are those of content and style.

`losses` holds the loss terms as pure functions, `objective` what is minimised and the conventions it is written in,
`optimisers` the three ways of taking a step, `history` what is recorded, `transfer` the whole, read from top to bottom.
Nothing here reads or writes a file, and nothing knows of experiments.
"""

from stylerepro.transfer.transfer import transfer as transfer
