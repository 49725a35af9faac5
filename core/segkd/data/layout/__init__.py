"""How the files of a data set lie in folders.

- ``walk``: the files below a folder, links followed without loops
- ``listing``, ``split_folders``: which files a split has
- ``pairing``, ``paired_files``: which mask belongs to which picture
- ``classes_file``: ``classes.yaml``
- ``looks_like``: which published data set a folder looks like
"""
