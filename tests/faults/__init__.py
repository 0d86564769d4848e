"""Damage done on purpose, and what users and operators are told meanwhile."""
