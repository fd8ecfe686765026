"""Libraries that every service stands on: contracts, flow, service, workspace, timesource."""
