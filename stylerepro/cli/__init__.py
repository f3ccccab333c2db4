"""The command `stylerepro`: its words, and how they are shown in a terminal.

`main` holds the commands on experiments, runs, claims and this machine, `own_pictures` those on pictures and trained
networks, `new` what begins an experiment or a document, `display` every table and the progress of runs.
Arguments in, tables and exit status out: what computes or decides anything may not enter.
"""
