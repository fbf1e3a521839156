"""Networks and their fast paths.

Networks map tensors to named tensors; a test compares each fast path with the plain computation.
"""
