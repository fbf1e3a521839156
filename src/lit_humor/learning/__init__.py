"""How a model learns: the optimizer step, memory, numbers that are not finite, the strategy.

Knows no configuration file.
"""
