"""What the stored scores of a run mean: calibration, and cuts with a guarantee. Analyses of records
alone: no model is loaded.
"""
