"""What a run folder says, recomputed from it: checks, what they compared and what differs."""
