"""Measures: what a picture, a style or a computation is judged by, and the statistics of it. A new measure goes here.

`image_metrics` of pictures, `features` of pictures and networks by a loss network's features, `statistics` over pairs
of pictures, `timing` of time and memory, with the hardware. What optimises something, and files, may not enter.
"""
