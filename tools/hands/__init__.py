"""Hands as tables of numbers, and the records that files are written from."""
