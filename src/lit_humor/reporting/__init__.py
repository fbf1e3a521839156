"""Pages from run folders: a run, two runs compared, or a run beside others' answers.

Reads only run folders and files of answers, and never loads torch.
"""
