"""What runs on a device. Each file stands alone: it is sent there as text and may import the standard library only."""
