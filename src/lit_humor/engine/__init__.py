"""One run from configuration to results: plan, build, train, checkpoint, resume.

``factory`` is the only place that builds from configuration.
"""
