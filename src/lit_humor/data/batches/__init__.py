"""From rows to tensors on their way to the model: tokens, batches, their order, loader processes.

Order depends on seed and epoch alone.
"""
