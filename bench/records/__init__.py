"""What a run leaves: records, their keys, and the folder they live in."""
