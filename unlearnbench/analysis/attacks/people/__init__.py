"""What is done person by person, to a method and its references alike: the worst of several cases, and mere chance."""
