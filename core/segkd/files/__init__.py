"""Files: read without trust, written in one step.

- ``small_files``: text and JSON of users and of segkd, with limits
- ``yaml_lines``: YAML with the line of every key
- ``written_files``: checked models of the JSON that segkd writes and reads again
- ``arrays``: arrays of numbers in ``.npy`` files
- ``writing``: hashes, and writing that never leaves half a file
- ``unfinished``: hidden names beside a place, and what killed processes left there
- ``destinations``: whether a place can be written, tried before the work
- ``damage``: why a file no longer has its hash
- ``markdown``: foreign text in Markdown
"""

from segkd.files.small_files import read_json, read_object, read_text
from segkd.files.writing import finite, sha256_file, write_atomic, write_json

__all__ = [
    "finite",
    "read_json",
    "read_object",
    "read_text",
    "sha256_file",
    "write_atomic",
    "write_json",
]
