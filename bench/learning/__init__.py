"""Learning to rank: a stage that orders candidates by cheap features, trained inside the suite."""
