"""The book: results, notebooks and the ledger laid out by Sphinx, offline.

`building` writes what Sphinx reads and calls it; `pages` holds the experiments' pages and the runs behind them,
`ledger_page` the documents' chapters and the claims, `explorer` the page with sliders, `text` the pieces of MyST that
these are made of, and the numbers and tables that texts ask for by name. No experiment's column is named here: pages in
`book/` name what they show. Nothing is computed here that a notebook, a measure or the ledger can compute.
"""
