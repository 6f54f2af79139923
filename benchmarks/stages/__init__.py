"""Single stages at real shapes with random weights, measured beside what is counted of them."""
