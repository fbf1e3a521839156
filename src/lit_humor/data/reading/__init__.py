"""Reads data files into rows with texts and labels; errors name the line and the remedy.

Uses the standard library, numpy and pyarrow; every row that is left out is reported.
"""
