"""Networks that were built elsewhere, behind the interface of our own; one file per kind, named in ``sources``."""
