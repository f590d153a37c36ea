"""The one tie rule, and TREC run files in and out."""
