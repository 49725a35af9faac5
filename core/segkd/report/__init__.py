"""One self-contained HTML page from the files of a workflow (needs the extra ``report``)."""
