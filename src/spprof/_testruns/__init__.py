"""Profiling runs of pytest: what the plugin's options and its fixture do."""
