"""Charts of report.html, as SVG."""
