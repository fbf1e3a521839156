"""Networks and the fast paths within them.

Tensors in, named tensors out; each fast path has an equality test.
"""
