"""What the SLA service's parts cost."""
