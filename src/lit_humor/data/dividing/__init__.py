"""Which row belongs to which split, fold or stage, and in what order rows are trained on.

Equal and nearly equal texts stay together.
"""
