"""Turns what was typed into a checked configuration: composes it, checks types, suggests corrections, opens saved runs.

Uses Hydra, as only the factory and ``sweeps`` do besides; never loads torch.
"""
