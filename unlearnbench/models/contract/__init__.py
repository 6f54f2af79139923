"""What a vision-language model is to everything that trains, edits or asks it."""
