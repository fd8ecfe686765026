"""What the flow does with each event, by where it comes from."""
