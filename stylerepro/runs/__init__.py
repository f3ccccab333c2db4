"""Runs: an experiment's declaration, its fingerprint, record, tables and pictures, and the engines that run it.

From notebook and sidecar to a whole folder in results/. No experiment is named here, and no claim is judged.
"""
