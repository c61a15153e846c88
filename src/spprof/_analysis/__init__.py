"""What can be asked of a profile: tables, trees, parts of it, sums and differences of several.

The methods of `Profile` import these modules when they are called; exporters and commands use them as well, so that
every figure is computed in one place.
"""
