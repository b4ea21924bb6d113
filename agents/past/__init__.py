"""What configuration was: versions of a row, what changed between two, putting one back, the audit, and as-of."""
