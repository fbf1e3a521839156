"""What ``bench.py suite=<name>`` measures, a file each.

Add a file to add a suite.
"""
