"""``segkd bench``: latency, memory, cold start and energy of a graph.

- ``run``: the whole measurement; ``report``: bench.json
- ``settings``: presets; ``run_options``: what a graph is run with
- ``scenarios/``: how calls are made; ``timing``, ``latency``: single calls and their distribution
- ``sweep``: over batch sizes and threads
- ``cold_start``, ``memory``, ``peak``: what else is measured
- ``watch``, ``machine_load``: the device and other processes meanwhile
"""
