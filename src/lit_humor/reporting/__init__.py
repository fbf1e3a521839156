"""Pages from run folders: results and mistakes of a run, and comparisons of two runs.

Reads only run folders and never loads torch.
"""
