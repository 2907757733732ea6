"""Pure pricing: guidance shows a price with it, settlement bills with it."""
