"""What a run needs of memory and time, counted before it starts."""
