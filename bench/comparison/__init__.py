"""What lies between two records or follows from several: paired differences, parity, agreement,
budgets.
"""
