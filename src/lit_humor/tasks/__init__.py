"""What a run learns to answer, a file for each task: its metrics, checks, columns, tables and baseline.

Nothing outside this room knows which number is the primary one. Importing a task loads no torch: commands that only
read run folders ask it for names and definitions, and its methods import what they compute with.
"""
