"""Known rerankers as data, and what services charge."""
