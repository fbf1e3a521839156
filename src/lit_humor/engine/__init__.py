"""One run from configuration to results: plan, build, train, checkpoint, resume.

Only ``factory`` builds objects from configuration.
"""
