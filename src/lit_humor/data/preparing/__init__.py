"""What a model reads of a row: made from examples once, kept in files, collated into tensors; one file a kind of model.

The model names its preparation (``model.preparation``); a run that names none reads texts.
"""
