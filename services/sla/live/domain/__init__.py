"""What happened to work and clocks, folded into service levels; values in, values out."""
