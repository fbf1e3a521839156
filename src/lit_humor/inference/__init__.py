"""Users of a finished run: evaluate, predict, explain, serve, export.

They open a run folder and never write into its training state.
"""
