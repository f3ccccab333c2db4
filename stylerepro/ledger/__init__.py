"""The ledger: a YAML file a document with its claims, and what turns a claim's rule and a table into a verdict.

`rules` picks a claim's rows and decides the six kinds of rule, `verdicts` joins them over readings and
networks, `probes` tries every rule on made-up tables so that one that cannot fail is refused, and `grammar` checks the
files. `stylerepro.ledger.claims` is the way in.
"""
