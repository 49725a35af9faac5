"""Releases: gates over fresh evidence, a bundle with checksums, and its card."""
