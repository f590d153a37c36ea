"""What a score means: maps from scores to probabilities of relevance, their errors, and the file
that holds a map. Plain arrays in and out: it knows no records and no rerankers.
"""
