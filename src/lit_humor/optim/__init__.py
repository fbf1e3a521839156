"""Parameter groups, optimizers, schedules.

They see named parameters and depths, no model class.
"""
