"""Preparations: they make of examples the inputs of a model, keep these in files, and collate them into tensors.

There is one file for each kind of model; ``model.preparation`` names the class. Without it, a model reads texts.
"""
