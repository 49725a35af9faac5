"""One self-contained HTML page from the files of a workflow (needs the extra ``report``).

- ``collect``: from folders to a report; ``content``: what a report holds
- ``run_files``, ``evidence_files``, ``published_numbers``: what is read of runs, evidence and published experiments
- ``html``, ``svg``, ``pictures``: how it is drawn
"""
