"""What the harness runs on: fingerprint, processor, accelerator, memory, clock, noise."""
