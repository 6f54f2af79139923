"""What the tasks share that ask for facts about people: questions, sets, records and the metrics over them."""
