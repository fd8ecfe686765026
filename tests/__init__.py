"""Tests: unit, property, contract, flows, integration, chaos, e2e."""
