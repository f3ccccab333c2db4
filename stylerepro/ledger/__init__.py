"""The ledger: a YAML file a document with its claims, and what turns a claim's rule and a table into a verdict.

`claims` reads the files into `Document`, `Claim` and `Finding`, and knows when a rule took its form; `check` completes
a rule and refuses one with other keys; `rules` picks a claim's rows and decides the kinds of rule; `verdicts` joins
them over readings and networks; `summary` judges all claims from the runs there are. A document more is a file
NNN.yaml more. Tables come in as CSV reads them: no plotting, no running of notebooks, nothing of one document.
"""
