"""The measure: what a system gets right and wrong on people whose identity is known."""
