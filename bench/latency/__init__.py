"""The timed pass: plans, calls, scenarios, summaries."""
