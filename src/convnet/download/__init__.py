"""Fetch one published file, verified."""
