"""Tasks, one file each: metrics, checks, prediction columns, tables and baseline.

Code outside this room does not know which metric is the primary one. Importing a task does not load torch, since
commands that only read run folders import tasks for names and definitions; methods import what they need.
"""
