"""Tests of the SLA rules, without database or broker."""
