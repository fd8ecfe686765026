"""Tests of how a timeline reads, without database or broker."""
