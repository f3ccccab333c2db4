"""Measures: what a picture, a style or a computation is judged by, and the statistics of it. A new measure goes here.

`image_metrics` of pictures, `judges` of style and content by networks, `statistics` over pairs of pictures,
`timing` of time and memory, with the hardware. What optimises something, and files, may not enter.
"""
