"""MME: yes/no questions on perception and cognition."""
