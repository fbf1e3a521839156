"""Where rows come from, a class each: files, the hub, the demo corpus.

Add a file and a node in ``configs/data`` to add a source.
"""
