"""Web push by its standards: a payload only the browser can open, sent to the push service the browser chose."""
