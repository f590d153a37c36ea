"""What there is to use here: lists, needs, what would fail, what is installed."""
