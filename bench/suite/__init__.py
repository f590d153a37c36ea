"""What was asked: the YAML, its JSON Schema, and its trials."""
