"""What HTML pages have in common.

Templates and styles; no numbers are computed here.
"""
