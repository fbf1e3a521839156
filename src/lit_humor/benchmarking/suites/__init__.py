"""The suites of ``bench.py suite=<name>``, one file each.

A new file with a function ``run(cfg)`` is a new suite; there is no list of them.
"""
