"""The only loop: trial to record."""
