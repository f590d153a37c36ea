"""What several tests share: fakes, builders, tolerances, and the command as a process."""
