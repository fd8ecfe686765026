"""What happened to a conversation, folded into its SLA clocks; values in, values out."""
