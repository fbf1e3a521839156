"""How a model learns: the optimizer step, memory, checks for finite numbers, the strategy.

Independent of configuration files.
"""
