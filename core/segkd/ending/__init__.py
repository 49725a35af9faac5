"""How a command ends: one line and an exit code for whatever happens.

- ``exceptions``: what is said of an exception, and its exit code
- ``stopping``: signals that unwind as exceptions
- ``users_code``: errors of a user's own file, with its line
"""
