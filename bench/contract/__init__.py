"""The nouns that rooms hand to each other, without behaviour: candidates, requests, scores,
trials.
"""
