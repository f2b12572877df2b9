"""Figures as vector graphics."""
