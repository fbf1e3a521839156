"""Names, shapes, errors and random streams that all packages share.

Imports no other package of this project; change it only when a contract changes.
"""
