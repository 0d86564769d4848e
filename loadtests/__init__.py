"""Load on a running installation; README.md lists what is here."""
