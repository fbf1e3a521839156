"""Starts the runs of a plan: on this machine, by SLURM, by SSH, in a cloud.

One queue for each; they use the standard library and import other clients only where needed, never torch.
"""
