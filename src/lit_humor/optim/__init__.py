"""Parameter groups, optimizers, schedules.

They work on named parameters and their depths, not on a model class.
"""
