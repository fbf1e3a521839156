"""From files of any kind to rows with texts and labels, and errors that name line and remedy.

Standard library, pyarrow and pandas; a row is never lost without being named.
"""
