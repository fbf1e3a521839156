"""Pages from run folders: what a run learned and got wrong, and how two compare.

Reads run folders alone and never loads torch.
"""
