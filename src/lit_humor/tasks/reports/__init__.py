"""Parts of pages for each kind of task, in a folder with the name of the kind.

The page of a kind without a folder shows only its metrics. Nothing here loads torch or writes into a run folder.
"""
