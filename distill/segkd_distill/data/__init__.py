"""Training batches: geometry on the host in uint8, colour and normalisation on the device."""
