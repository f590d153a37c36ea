"""What every room may use: errors, options, plugins, whole files, progress, YAML with positions,
paths and names.
"""
