"""Where runs of a plan are started: this machine, SLURM, SSH, a cloud.

A queue each; standard library and a client that is imported where it is used, never torch.
"""
