"""Measures: what a picture, a style or a computation is judged by, and the statistics of it.

Numbers out of pictures, tables and clocks. A new measure goes here; what optimises something may not enter.
"""
