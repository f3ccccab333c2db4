"""The command `stylerepro`: its words, and how they are shown in a terminal.

Arguments in, tables and exit status out. What computes or decides anything belongs to the rooms below.
"""
