"""The quality pass: chunks of requests, and the cache of their scores."""
