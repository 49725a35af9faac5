"""A gates file to begin with."""

EXAMPLE = """\
# Gates for `segkd release create ARTIFACT --gates FILE` and `segkd deploy ... --gates FILE`.
# The limits of `segkd validate` (docs/validate.md) hold in any case: a limit here can only be stricter.
# Shares are 0..1.

miou_floor: 0.40          # smallest mIoU of the graph: of the whole set after `validate --data`, else of the reference
p99_latency_ms: 200       # largest 99th percentile of the latency, from `segkd bench`
size_mb: 100              # largest file of a graph, 10^6 bytes

fp32:                     # for one precision; a variant's name, as int8-cpu, goes too
  agreement: 0.9999       # smallest share of pixels with the label of the network in torch
  miou_delta: 0.0005      # largest difference of mIoU to the network in torch
fp16:
  agreement: 0.999
  miou_delta: 0.002
int8:                     # int8 and int8-cpu
  agreement: 0.99
  miou_delta: 0.01        # in int8 a loss alone
  worst_class_delta: 0.02 # largest loss of IoU of one class
"""
