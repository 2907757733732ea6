"""Everything that stands in the street: sensors, gates, signs, and a simulated district of them."""
