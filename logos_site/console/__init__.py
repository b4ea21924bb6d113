"""The operator console: one site around Django's admin, drawn by unfold, under the same rules as the pages."""
