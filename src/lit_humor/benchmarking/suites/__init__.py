"""What ``bench.py suite=<name>`` measures, a file each.

A new file with a function ``run(cfg)`` is a new suite; nothing lists them.
"""
