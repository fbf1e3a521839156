"""From what was typed to a checked configuration: composing, types, remedies, saved configurations.

The only room besides the factory that knows Hydra; never loads torch.
"""
