"""Models trained on judged queries by a recipe, and compared with what they were trained from."""
