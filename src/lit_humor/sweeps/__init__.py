"""Trains many runs: plans, search, budget, summary.

Composes configurations and reads run folders; never loads torch.
"""
