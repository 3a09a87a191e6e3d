"""Layers that change images inside a net."""
